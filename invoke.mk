# A sample event through the built function, on this machine. In a folder of its own: what is to be deployed may be for the other processor.
.PHONY: invoke

invoke: tools-ready ## sample events through the built function (EVENT=s3_in_sqs, or all of them)
	@$(MAKE) --no-print-directory build ARCHITECTURE=$$(uname -m | sed 's/aarch64/arm64/') BUILD_DIR=.cache/invoke >&2
	@$(BIN)/python events/invoke.py $(EVENT)
