# What an event costs: reports, not tests. On the Python that the function runs on.
.PHONY: bench bench-config bench-causes bench-coldstart

BENCH_RUN := PYTHONPATH=layers/audit_search/src $(TOOLS)/bench/bin/python -m

bench: $(TOOLS)/bench/.ready ## CPU, memory and requests per event and per item, beside what people would use instead
	@$(BENCH_RUN) benchmarks.run $(BENCH)
	@$(MAKE) --no-print-directory bench-config
	@$(MAKE) --no-print-directory bench-causes
	@$(MAKE) --no-print-directory bench-coldstart
	@$(MAKE) --no-print-directory bench-questions

bench-config: $(TOOLS)/bench/.ready ## the same for AWS Config alone: BENCH_CONFIG="--rounds 1 --items 5000 --json figures.json"
	@$(BENCH_RUN) benchmarks.config_run $(BENCH_CONFIG)

bench-causes: $(TOOLS)/bench/.ready ## how often the causes of Config changes are found, and how sure: BENCH_CAUSES="--seeds 7"
	@$(BENCH_RUN) benchmarks.causes $(BENCH_CAUSES)

bench-coldstart: $(TOOLS)/bench/.ready $(TOOLS)/runtime/.ready ## import and first event of the built artefact
	@$(MAKE) --no-print-directory build ARCHITECTURE=$$(uname -m | sed 's/aarch64/arm64/') BUILD_DIR=.cache/coldstart >&2
	@$(BENCH_RUN) benchmarks.coldstart .cache/coldstart $(TOOLS)/runtime/bin/python

# Nothing is measured here: formulas over the reports' figures and a list of prices.
.PHONY: cost
cost: $(READY) ## what a month costs: COST="--events 5e6 --retention-days 365 --lean"
	@$(BIN)/python -m benchmarks.cost $(COST)
