"""The recorded runs: name → config, and what is asked. Those of real models are compared by what was said and decided."""

from dataclasses import dataclass
from typing import Any

LISTENER = "regression.listener:listener"
# So that nothing is under way beside another question, and the journal's order is the plan's.
BASE: dict[str, Any] = {
    "backend": LISTENER,
    "model": "mock",
    "prompts": "./prompts",
    "max_tokens": 80,
    "top_beliefs": 4,
    "execution": {"in_flight": 1},
}


@dataclass(frozen=True)
class Case:
    """One recorded run.

    Attributes:
        config: the config as a mapping, or a config file beside this one.
        methods: rows; the config's by default.
        limit: questions.
        data: a benchmark file beside this one.
        is_real: of a real model, whose last bits may differ: times, digests and bytes are left out.
        outputs: also write and compare the report, lm-eval's files and the table of turns.
        with_turns: tell each turn in a line; without, a hash tells that one changed, not which.
        random_models: belief backends of random weights that are made in the working folder first.
    """

    config: dict[str, Any] | str
    methods: tuple[str, ...] = ("cipher",)
    limit: int = 1
    data: str | None = None
    is_real: bool = False
    outputs: bool = False
    with_turns: bool = True
    random_models: bool = False


def _mock(
    *methods: str,
    limit: int = 1,
    data: str | None = None,
    outputs: bool = False,
    with_turns: bool = True,
    **keys: Any,
) -> Case:
    return Case({**BASE, **keys}, methods or ("cipher",), limit, data, outputs=outputs, with_turns=with_turns)


def _real(config: dict[str, Any], *methods: str, limit: int = 2, outputs: bool = False) -> Case:
    return Case(
        {"backend": "transformers", "dtype": "float32", **config}, methods, limit, is_real=True, outputs=outputs
    )


THREE = {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}, "cy": {"temperature": 0.5}}
CHOICE = {"task": "mmlu:formal_logic", "options": {"choice": True}, "prompts": None, "data": "questions.jsonl"}

METHODS = {
    "methods": _mock(
        "single", "text", "cipher", "self-consistency@tokens", "self-consistency(k=3)", "expert", "misaligned", "random",
        "dummy", "topologies/ring_with_judge", "warm",
        limit=2, outputs=True, agents=THREE, prompts=None, agreement=0.3, seed=7,
        methods={"warm": {"message": "text", "agents": {"ada": {"temperature": 1.1, "top_p": 0.9}}}},
    ),
    "likelihood": _mock(
        "likelihood", "likelihood:texts", "single", "cipher", limit=2, outputs=True, agents=THREE, **CHOICE
    ),
    "many in flight": _mock("text", "cipher", limit=5, with_turns=False, agents=THREE, execution={"in_flight": 8}),
    "topology file": Case("crossed.yaml", ("text", "cipher"), 2),
    "encoders": _mock(
        *(
            f"cipher:{encoder}"
            for encoder in (
                "dirichlet", "expectation", "gumbel(tau=0.5)", "minp", "mixture", "partial-entropy",
                "partial-entropy-reversed", "partial-max", "partial-max-reversed", "token", "topk(k=3)", "topp(p=0.9)",
            )
        ),
        agents={"ada": {"temperature": 0.4}, "ben": {"temperature": 1.0}}, rounds=2,
    ),
}  # fmt: skip

SEVEN = {"a": {"count": 7, "temperature": [0.1, 0.9]}}
ORDERS = ("fixed", "reversed", "shuffled")
TOPOLOGIES = {
    f"topology {name}": _mock(
        ("text", "cipher")[place % 2], topology=name, order=ORDERS[place % 3], agents=SEVEN, seed=place, rounds=2
    )
    for place, name in enumerate(
        (
            "bipartite", "chain", "complete", "custom", "dynamic(degree=2)", "erdos_renyi", "grid", "layered(layers=3)", "ring",
            "scale_free", "small_world", "sparse", "star", "teams", "tree",
        )
    )
}  # fmt: skip
SCHEDULE = {
    "generator": "erdos_renyi(p=0.4)",
    "redraw": True,
    "seed": 3,
    "schedule": [{"rounds": [3], "generator": "complete"}],
}
TOPOLOGIES["topology schedule"] = _mock(topology=SCHEDULE, agents={"a": {"count": 5}}, rounds=4)

LED = {"a": {"count": 4, "temperature": [0.1, 0.7]}, "chair": {"role": "summariser", "temperature": 0.1}}
JUDGED = {**LED, "judge": {"role": "judge", "temperature": 0}}
# Each ends before its last round.
PROTOCOLS = {
    f"protocol {name}": _mock(
        ("text", "cipher")[place % 2], protocol=name, agents=JUDGED, decision="judge", rounds=4, seed=place,
        stopping="budget(tokens=400)", topology=("complete", "ring")[place // 5],
    )
    for place, name in enumerate(
        (
            "angel_devil_judge", "feed_forward", "gossip(peers=2)", "hierarchical", "memory", "multi_party", "one_by_one",
            "relay", "report", "simultaneous",
        )
    )
}  # fmt: skip
AGREE = {"backend": "mock", "options": {"skill": 1.0}}
MODERATED = {
    "agents": {
        "angel": {"role": "angel"},
        "devil": {"role": "devils_advocate"},
        "moderator": {"role": "moderator"},
    },
    "protocol": "angel_devil_judge",
    "backend": "mock",
    "options": {"script": {"": "I say. Answer: 7", "moderator of a debate": "Go on.", "You said before": "Answer: 3"}},
    "decision": "judge(agent='moderator')",
}
STOPPING = {
    f"stopping {rule}": _mock(("text", "cipher")[place % 2], stopping=rule, rounds=4, **{"limit": 1, **keys})
    for place, (rule, keys) in enumerate(
        {
            "belief(distance=0.0001)": {"agents": THREE, **AGREE},
            "budget(tokens=200)": {"agents": THREE},
            "gate": {"agents": JUDGED, "decision": "judge", **AGREE},
            "margin(votes=2)": {"agents": SEVEN},
            "moderator": MODERATED,
            "share(of=0.3)": {"agents": SEVEN, "protocol": "gossip"},
            "stable(rounds=2)": {"agents": THREE, **AGREE},
            "unanimity(first_round=2)": {"agents": THREE, "protocol": "memory", **AGREE},
        }.items()
    )
}

FIVE = {"a": {"count": 4, "temperature": [0.9, 0.1]}, "judge": {"role": "judge", "temperature": 0}}
DECISIONS = {
    f"decision {rule}": _mock(
        "cipher", decision=rule, agents=FIVE, rounds=2, limit=2, options={"ballots": True}, max_tokens=150,
        with_turns=rule == "approval",
    )
    for rule in (
        "approval", "borda", "cumulative", "depth", "judge", "last_speaker", "lowest_temperature", "majority", "ranked",
        "verifier(score='regression.listener:shortest')", "weighted(by='entropy')", "weighted(by='probability')",
        "weighted(by='stated')",
    )
}  # fmt: skip
DECISIONS["decision belief_average"] = _mock(
    decision="belief_average(options='ABCD')", agents=THREE, rounds=2, limit=2, **CHOICE
)

FOUR = {name: {"temperature": 0.2 + place / 5} for place, name in enumerate(("ada", "ben", "cy", "dee"))}
EDGES = [
    {"from": "ada", "to": "ben", "message": "text"},
    {"from": "ada", "to": "cy", "message": "both"},
    {"from": "ada", "to": "dee", "seen": "answers"},
    {"from": "ben", "to": "ada", "first_tokens": 7},
    {"from": "ben", "to": "cy", "delay": 1},
    {"from": "cy", "to": "ada", "seen": "all"},
    {"from": "cy", "to": "dee", "seen": "all", "delay": 1, "message": "text"},
    {"from": "dee", "to": "ada", "rounds": [3, 4]},
    {"from": "dee", "to": "ben", "encoder": "topk(k=2)", "rounds": 2},
]
EXCHANGES = {
    "edges": _mock("text", "cipher", topology={"edges": EDGES}, agents=FOUR, rounds=4, limit=2),
    "edges of a generator": _mock(
        "cipher",
        topology={
            "generator": "ring",
            "over": "a",
            "message": "text",
            "edges": [
                {"from": "a1", "to": "a2", "remove": True},
                {"from": "a", "to": "judge", "message": "cipher", "first_tokens": 12},
                {"from": "*", "to": "a3", "seen": "answers", "rounds": [2]},
            ],
        },
        agents=FIVE, decision="judge", protocol="relay",
    ),
    "controls": _mock(
        "text", "cipher", limit=3, rounds=2, order="shuffled",
        agents={**THREE, "right": {"role": "expert"}, "misled": {"role": "misaligned"}, "any": {"role": "random"}},
    ),
    "text among vectors": _mock(
        agents={"ada": {"encoder": "topp(p=0.8)"}, "ben": {"encoder": "none", "top_k": 5}, "cy": {"role": "critic"}}, seed=3
    ),
    "two tables": _mock(
        agents={"ada": {"temperature": 0.3}, "ben": {"options": {"seed": 1, "width": 24}, "model": "other"}}, limit=2
    ),
    "choosers": _mock(
        "text", "cipher", limit=2, agents={
            "ada": {"weighs": "labels", "words": "shares"},
            "ben": {"weighs": "texts", "temperature": 0.7},
            "cy": {"temperature": 0.4},
        }, **CHOICE,
    ),
}  # fmt: skip

FUNCTIONS = {
    "ada": {"backend": "discrete_functions", "pool": "product", "trust": 0.75, "options": {"rule": "learner", "share": [0, 3]}},
    "ben": {"backend": "discrete_functions", "pool": "linear", "options": {"rule": "bayes", "share": [1, 3]}},
    "cy": {"backend": "discrete_functions", "pool": "product", "options": {"rule": "elimination", "share": [2, 3]}},
    "dee": {"backend": "discrete_functions", "options": {"rule": "neighbours"}, "words": "shares"},
    "eve": {"backend": "mock", "temperature": 0.1, "options": {"script": {".": "I think so. Answer: 1"}}},
}  # fmt: skip
MOCK = {"backend": "mock", "model": "mock", "rounds": 2, "top_beliefs": 4, "execution": {"in_flight": 1}}
SPECIALISTS = {
    "specialists": _real(
        {**MOCK, "task": "discrete_functions", "agents": FUNCTIONS}, "single", "text", "cipher", limit=3, outputs=True
    ),
    "random specialists": Case(
        {
            **MOCK,
            "task": "mmlu:formal_logic",
            "agents": {
                "langsamp": {"backend": "langsamp", "checkpoint": "runs/langsamp", "pool": "linear"},
                "kalm": {"backend": "kalm", "checkpoint": "runs/kalm", "pool": "product", "trust": 0.6},
                "early": {
                    "backend": "matryoshka_2d", "checkpoint": "runs/matryoshka_2d", "options": {"layer": 2, "dim": 8},
                    "pool": "linear",
                },
            },
        },
        ("single", "text", "cipher"), 2, "questions.jsonl", is_real=True, outputs=True, random_models=True,
    ),
}  # fmt: skip

TINY = {
    "model": "tiny/dee", "task": "arithmetic:held_out", "prompts": "tiny", "format": "plain", "max_tokens": 80,
    "agents": {"first": {"temperature": 0.2}, "second": {"temperature": 0.5}}, "rounds": 2, "execution": {"in_flight": 4},
}  # fmt: skip
DEBATERS = {
    "tiny dee": _real(TINY, "single", "text", "cipher", "cipher:topk(k=3)"),
    "tiny ivy and jay": _real(
        {**TINY, "model": "tiny/ivy", "agents": {"ivy": {"temperature": 0.05}, "jay": {"model": "tiny/jay", "temperature": 0.5}}},
        "text", "cipher",
    ),
    "two tokenizers": _real(
        {
            **TINY, "min_mapped": 0.3,
            "agents": {"dee": {"temperature": 0.3}, "byte": {"backend": "mock", "model": "mock", "temperature": 0.4}},
        },
        "text", "cipher",
    ),
}  # fmt: skip

CASES: dict[str, Case] = {
    **METHODS, **TOPOLOGIES, **PROTOCOLS, **STOPPING, **DECISIONS, **EXCHANGES, **SPECIALISTS, **DEBATERS,
}  # fmt: skip
# The same run with engines in processes of their own comes to the same.
RAY = _mock("text", "cipher", limit=2, agents=THREE, backend="mock", prompts=None)
