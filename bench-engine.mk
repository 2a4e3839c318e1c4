# What an event costs the engine: a report, not a test. On a real node (needs Java and Maven), about a quarter of an hour.
.PHONY: bench-engine

bench-engine: $(READY) ## CPU, bytes and search times of the engine, for our template and for what people would use instead
	@$(BIN)/python -m benchmarks.engine $(BENCH)

.PHONY: bench-questions
bench-questions: $(READY) ## how long each question of the command takes with a million events: BENCH_QUESTIONS="--events 50000"
	@$(BIN)/python -m benchmarks.questions $(BENCH_QUESTIONS)
