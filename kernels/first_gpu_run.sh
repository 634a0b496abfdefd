#!/usr/bin/env bash
# The first session on a GPU, of 15 minutes; kernels/README.md says what each part tells. No GPU has run it yet.
# Run from the root of a clone, with torch for this GPU and this package installed (pip install -e '.[vllm,dev]').
# Every part writes into $OUT (gpu-run by default), has a limit of its own, and does not end the others.
set -u
OUT=${OUT:-gpu-run}
PYTHON=${PYTHON:-python}
mkdir -p "$OUT"

part() {  # NAME SECONDS COMMAND…
    local name=$1 limit=$2
    shift 2
    echo "== $name (at most $limit s): $*"
    local begun=$SECONDS
    timeout "$limit" "$@" > "$OUT/$name.log" 2>&1
    local status=$?
    tail -n 5 "$OUT/$name.log"
    echo "$name,$status,$((SECONDS - begun))" >> "$OUT/parts.csv"
}

echo "part,status,seconds" > "$OUT/parts.csv"
part machine 30 bash -c "nvidia-smi; $PYTHON -m debate doctor"
# 1. Do the kernels compute what their definitions say, on the device?
part right 90 "$PYTHON" -m pytest -q -m gpu tests/kernels --ignore tests/kernels/test_cluster.py
# 2. What do they take alone? Checked again before each is timed.
part kernels 180 "$PYTHON" -m debate bench kernels --device cuda --shapes qwen3-0.6b,llama-3-8b,smollm2-135m \
    --dtypes bfloat16 --batch 1,16,32 --rounds 9 --no-compiled --minutes 2.4 --out "$OUT/kernels.json"
# 3. Attention by clusters, which nothing else here needs: apart, since it may be wrong or wait for ever. Needs nvcc; skipped without.
part cluster-right 45 "$PYTHON" -m pytest -q -m gpu tests/kernels/test_cluster.py
CIPHER_DEBATE_GPU_CLUSTER=1 part cluster 45 "$PYTHON" -m debate bench kernels --device cuda --operators vocabulary_attention \
    --shapes llama-3-8b,qwen3-0.6b --dtypes bfloat16 --batch 1,16 --rounds 9 --no-compiled --minutes 0.5 --out "$OUT/cluster.json"
# 4. Does the engine speak, and what does CIPHER add to a step? The smallest model first, its log whole where it does not start.
part engine-small 180 "$PYTHON" -m debate bench engine --device cuda --shapes qwen3-0.6b --rows 1,32 --tokens 128 --rounds 4 \
    --out "$OUT/engine-0.6b.json"
# 5. Is what it says right? vLLM beside transformers on this device, in float32.
part engine-right 120 "$PYTHON" -m pytest -q -m gpu tests/agents/backends/vllm
# 6. Larger models, as many as fit into the time.
part engine-large 210 "$PYTHON" -m debate bench engine --device cuda --shapes qwen3-1.7b,qwen3-8b --rows 1,32 --tokens 128 \
    --rounds 3 --minutes 2 --out "$OUT/engine-large.json"
echo "== done in $SECONDS s; $OUT/parts.csv has each part's status (0: passed, 124: its time was over)"
cat "$OUT/parts.csv"
