"""A SAM template as CloudFormation gets it, on stdout: `python translate.py template.yaml [Parameter=Value ...]`.

Runs on sam's own environment, without network or credentials.
"""

import json
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """Stands in for the list of managed policies that sam asks IAM for; the template names none."""

    def load(self) -> dict[str, str]:
        """No policies."""
        return {}


def main() -> None:
    """Translate the template that the first argument names."""
    parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
    template = yaml_parse(Path(sys.argv[1]).read_text("utf-8"))
    validator = SamTemplateValidator(template, NoManagedPolicies(), region="eu-central-1", parameter_overrides=parameters)
    json.dump(yaml_parse(validator.get_translated_template_if_valid()), sys.stdout, indent=1, default=str)


if __name__ == "__main__":
    main()
