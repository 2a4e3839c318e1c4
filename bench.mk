# What an event costs: a report, not a test. On the Python that the function runs on.
.PHONY: bench

bench: $(TOOLS)/bench/.ready ## CPU, memory and requests per event, beside what people would use instead
	@PYTHONPATH=layers/audit_search/src $(TOOLS)/bench/bin/python -m benchmarks.run $(BENCH)
