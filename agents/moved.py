"""Where modules went that have moved, so that dotted paths and imports written before lead to the new place or name it."""

# Old package, new package, and the modules that kept their names.
_KEPT = (
    ("agents", "agents.beliefs", "belief belief_backend cards claims pooling sound_files verbaliser"),
    ("agents", "agents.decoding", "cipher_step ending sampling"),
    ("agents", "agents.speakers", "agent chooser controls specialist"),
    ("agents", "agents.supervision", "wrapped"),
    ("debate", "agents.supervision", "replicas supervised"),
    ("debate", "debate.config", "execution frozen groups"),
    ("debate", "debate.decision", "ballots depth"),
    ("debate", "debate.protocol", "exchange stopping"),
    ("debate", "debate.run_folder", "cancel journal log method_journal results status turn_record"),
    ("debate", "debate.runtime", "faults metrics observer"),
    ("debate.cli", "evals.cli", "evaluate playing report reproduce run score screen search table tasks train"),
    ("debate.ray_runtime", "debate.runtime.ray", "actor borrowed placement remote runner runners session wire"),
    ("debate.ray_runtime", "debate.runtime.ray", "simulated_nodes"),
    ("debate.topology", "debate.preview", "checks facts picture sketch"),
    ("evals", "evals.analysis", "lm_eval_files plots report run_record stats turn_table"),
    ("evals", "evals.datasets", "dataset_task hub rows"),
)
# Old module → where what it held is now.
_OTHERS = {
    "agents.backends.openai.endpoint": ("agents.backends.endpoint",),
    "debate.aside": ("agents.atomic_file",),
    "debate.beliefs": ("debate.decision.belief_rules", "debate.decision.option_reading"),
    "debate.bench_drift": ("debate.bench.drift",),
    "debate.bench_engine": ("debate.bench.engine",),
    "debate.bench_orchestrator": ("debate.bench.orchestrator",),
    "debate.bench_prefix": ("debate.bench.prefix",),
    "debate.bench_tax": ("debate.bench.tax",),
    "debate.blobs": ("debate.run_folder.message_store",),
    "debate.call": ("agents.registry",),
    "debate.config": ("debate.config.schema", "debate.config.load", "debate.config.shipped", "evals.methods"),
    "debate.config.named": ("agents.registry",),
    "debate.decision": ("debate.decision.decision", "debate.decision.answers", "debate.decision.rules"),
    "evals.analysis.outputs": ("evals.outputs",),
    "debate.graph": ("debate.topology.generators",),
    "debate.player": ("debate.runtime.batch",),
    "debate.protocol": (
        "debate.protocol.protocol",
        "debate.protocol.rules",
        "debate.protocol.stopped",
        "debate.transcript",
    ),
    "debate.protocols": ("debate.protocol.rules",),
    "debate.ray_runtime": ("debate.runtime.ray",),
    "debate.run_folder": ("debate.run_folder.folder",),
    "debate.run_lock": ("debate.run_folder.lock",),
    "debate.run_reader": ("debate.run_folder.reader",),
    "debate.setup": ("debate.build", "debate.runtime.backends", "debate.config.shipped"),
    "debate.topology.config": ("debate.config.topology",),
    "debate.topology.files": ("debate.config.topology_file", "debate.preview.export"),
    "debate.transcript": ("agents.question",),
    "debate.vocabulary_report": ("debate.preview.vocabulary",),
    "agents.observation": ("agents.question",),
    "evals.analysis": ("evals.analysis.summary",),
    "evals.questions": ("evals.samples", "evals.scorer"),
    "evals.rescoring": ("evals.responses",),
    "evals.scoring.beliefs": ("evals.scoring.belief_score",),
    "evals.search": ("evals.search.search", "evals.search.parameters", "evals.search.study", "evals.search.questions"),
    "evals.search_page": ("evals.search.page",),
}
MOVED: dict[str, tuple[str, ...]] = {
    **{f"{old}.{name}": (f"{new}.{name}",) for old, new, names in _KEPT for name in names.split()},
    **_OTHERS,
}


def new_paths(path: str) -> list[str]:
    """Return the dotted paths, `module:attribute`, at which what an old one named may be now; none where it has not moved."""
    module, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    return [f"{home}:{attribute}" for home in MOVED.get(module, ())]


def moved(module: str) -> str | None:
    """Return where a module went, in words; None where it has not moved."""
    return " and ".join(MOVED[module]) if module in MOVED else None
