"""The linker of the function, put together from its settings."""

from __future__ import annotations

from audit_search import index_template
from audit_search.aws_config.documents import CAUSES
from audit_search.causes.linking import Linker
from audit_search.container import Session
from audit_search.errors import IndexTemplateError
from audit_search.opensearch import HttpEngine, authentication
from audit_search.settings import CausesSettings


def assemble(settings: CausesSettings) -> Linker:
    """Build it. Raises IndexTemplateError unless the engine has the index template of the links, or cannot be asked for it."""
    session = Session()
    try:
        engine = HttpEngine(settings, lambda: authentication(settings, session))
        index_template.check(engine, settings.index_prefix, CAUSES)
    except IndexTemplateError:
        raise
    except Exception as error:  # no connection, no credentials, an answer that is none
        raise IndexTemplateError(f"The engine at {settings.endpoint} cannot be asked for its index template: {error}") from error
    return Linker(engine, settings.index_prefix)
