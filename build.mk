# The template and what is built from it. sam and the programs that stand in for AWS live in environments of their own,
# on the Python that the function runs on; everything they write stays in this folder.
TOOLS := .tools
SAM_BIN := $(CURDIR)/$(TOOLS)/sam/bin
SAM_ENV := PATH="$(SAM_BIN):$$PATH" SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR="$(CURDIR)/.cache/sam" PIP_CACHE_DIR="$(CURDIR)/.cache/pip" \
	PIP_DISABLE_PIP_VERSION_CHECK=1 AWS_DEFAULT_REGION="$${AWS_DEFAULT_REGION:-us-east-1}"
TOOLS_UV := UV_CACHE_DIR="$(CURDIR)/.cache/uv" $(BIN)/uv
ARCHITECTURE ?= arm64
BUILD_DIR ?= .aws-sam/build
STACK ?= audit-search
PYTHON_313_MISSING := Python 3.13 is needed to build the function: install it (for example with `pyenv install 3.13` or `uv python install 3.13`), or name it with PYTHON313=/path/to/python3.13

# Each candidate has to run: pyenv leaves a python3.13 on the PATH that only says which versions have one.
define find_python313
for candidate in "$$PYTHON313" python3.13 "$$(pyenv root 2>/dev/null)"/versions/3.13*/bin/python3.13 "$$HOME"/.pyenv/versions/3.13*/bin/python3.13 \
	"$$($(TOOLS_UV) python find --no-project --no-python-downloads 3.13 2>/dev/null)"; do \
	"$$candidate" -c 'import sys; sys.version_info[:2] == (3, 13) or sys.exit(1); print(sys.executable)' 2>/dev/null && break; \
done
endef
define need_python313
python=$$($(find_python313)); test -n "$$python" || { echo '$(PYTHON_313_MISSING)' >&2; exit 1; }
endef

.PHONY: python313 sam-ready tools-ready validate build delete pins

python313: $(READY)
	@$(need_python313); echo "$$python"

sam-ready: $(TOOLS)/sam/.ready

# What the packaging tests need. Without a Python 3.13 they say so themselves, one line each, unless this is CI.
tools-ready: $(READY)
	@python=$$($(find_python313)); \
	if test -n "$$python"; then $(MAKE) --no-print-directory $(TOOLS)/sam/.ready $(TOOLS)/lint/.ready $(TOOLS)/runtime/.ready $(TOOLS)/ministack/.ready $(TOOLS)/awscli/.ready; \
	else echo '$(PYTHON_313_MISSING)' >&2; test "$$CI" != true; fi

# --no-deps: the pins are the whole closure, and `pip check` proves it.
$(TOOLS)/%/.ready: requirements-%.txt | $(READY)
	@$(need_python313); \
	$(TOOLS_UV) venv --quiet --clear --no-project --python "$$python" $(TOOLS)/$* && \
	$(TOOLS_UV) pip install --quiet --no-deps --python $(TOOLS)/$*/bin/python -r $< && \
	$(TOOLS_UV) pip check --quiet --python $(TOOLS)/$*/bin/python
	@touch $@

validate: sam-ready ## check the template
	@mkdir -p .cache/sam
	@$(SAM_ENV) sam validate --lint

# Python has to compile a layer at each cold start, /opt is read-only: the bytecode is made here. By hash and never checked,
# because the files have other times where they are unpacked; without -j, or two builds differ.
build: sam-ready ## build what is deployed (ARCHITECTURE=x86_64 for the other processor)
	@mkdir -p .cache/sam
	@$(SAM_ENV) sam build --build-dir "$(BUILD_DIR)" --parameter-overrides "Architecture=$(ARCHITECTURE)"
	@for part in AuditSearchLayer:/opt DependenciesLayer:/opt CloudTrailFunction:/var/task ConfigFunction:/var/task SetupFunction:/var/task WatchFunction:/var/task VerifyFunction:/var/task CausesFunction:/var/task; do \
		$(SAM_BIN)/python -m compileall -q --invalidation-mode unchecked-hash -s "$(BUILD_DIR)/$${part%%:*}" -p "$${part#*:}" "$(BUILD_DIR)/$${part%%:*}" || exit; \
	done

# sam does not say which resources CloudFormation keeps; the stack does.
delete: sam-ready ## delete a stack (STACK=audit-search), having said what stays
	@stays=$$($(BIN)/audit-search outputs KeptAfterDelete --stack "$(STACK)") && echo "These stay, for they hold data: $$stays" >&2
	@$(SAM_ENV) sam delete --stack-name "$(STACK)" $(SAM_DELETE)

pins: $(READY) ## pin the build tools anew, whole closures
	@compile() { $(TOOLS_UV) pip compile --quiet --python-version 3.13 --python-platform linux --no-annotate --no-header --upgrade - --output-file "$$1" >/dev/null; }; \
	printf '%s\n' aws-sam-cli==1.170.0 pip | compile requirements-sam.txt && \
	printf '%s\n' cfn-lint-serverless==0.3.6 checkov==3.3.30 | compile requirements-lint.txt && \
	printf '%s\n' ministack==1.5.33 aws-sam-translator | compile requirements-ministack.txt && \
	printf '%s\n' awslambdaric boto3 | compile requirements-runtime.txt && \
	printf '%s\n' awscli==1.46.3 | compile requirements-awscli.txt
