# The demo's result is all that comes on stdout: with OUTPUT=json it is one line. What is set on make's command line (KEEP,
# FILES, CONFIG_FILES, OUTPUT, OPENSEARCH_…) is in the environment of a recipe already. CALLED_FROM is where the person was: after
# `make -C` the working directory is another one, and FILES and CONFIG_FILES are relative to theirs.
.PHONY: demo
demo: export CALLED_FROM = $(PWD)
demo: $(READY) ## the whole way on this machine (KEEP=1, FILES=…, CONFIG_FILES=…, OUTPUT=json, OPENSEARCH_ENDPOINT=…)
	@$(BIN)/python -m demo
