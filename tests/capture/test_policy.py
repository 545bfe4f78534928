"""The audit policy: first match wins, decided twice, and explained as it is decided."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxl_audit.cli.policy import COMMAND
from pxl_audit.errors import SettingsError, UsageError
from pxl_audit.event import ActorPart, TargetPart
from pxl_audit.globs import covers, glob_problem, matcher
from pxl_audit.policy import MAX_PLANS, PLAIN_ENTRY, Entry, Policy, Rule, Unrecorded
from pxl_audit.policy_check import Request, explain, remarks
from pxl_audit.policy_file import load_policy, parse_policy
from pxl_audit.policy_rule import ACTOR_MEMBERS, DURABILITIES, TARGET_MEMBERS, Durability, Failure, RecordChoice

DOCS = Path(__file__).parents[2] / "docs" / "policy.md"
SERVICE = "gateway"

METHODS = ["GET", "POST", "WEBSOCKET"]
PATHS = ["/a", "/a/b", "/a/b/c", "/b", "/b/a", "/health/../b"]
ROUTES = [None, "/a", "/a/{id}", "/b/{id}"]
KINDS = ["anonymous", "user", "service"]
SERVICES = [SERVICE, "core"]
STATUSES = [None, 101, 200, 404, 500]
STATUS_CONDITIONS: list[int | str] = [200, "4xx", "5xx", "none"]
GLOBS = ["/a", "/a/*", "/a/**", "/**/b", "**", "/*", "/b*", "/health/**"]


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    record: RecordChoice = draw(st.sampled_from(("all", "none")))
    plain = record == "none"
    durability: Durability = "group" if plain else draw(st.sampled_from(DURABILITIES))
    failure: Failure = "serve" if plain else draw(st.sampled_from(("serve", "refuse")))
    return Rule(
        name,
        methods=draw(some(METHODS)),
        paths=draw(some(GLOBS)),
        routes=draw(some([*GLOBS, "(none)", "/a/{id}"])),
        actor_kinds=draw(some(KINDS)),
        services=draw(some(SERVICES)),
        statuses=tuple(draw(st.lists(st.sampled_from(STATUS_CONDITIONS), max_size=2))),
        record=record,
        durability=durability,
        failure=failure,
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    count = draw(st.integers(0, 4))
    return Policy(tuple(draw(rules(f"rule-{i}")) for i in range(count)))


def fits(globs: Sequence[str], text: str) -> bool:
    """A glob, the slow way."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}

    def regex(glob: str) -> str:
        found = re.findall(r"\*\*/|\*\*|\*|[^*]+", glob, re.DOTALL)
        return "".join(parts.get(piece) or re.escape(piece) for piece in found)

    return not globs or any(re.fullmatch(regex(glob), text, re.DOTALL) for glob in globs)


def applies(rule: Rule, method: str, path: str, route: str | None, kind: str, service: str, status: int | None) -> bool:
    """What docs/policy.md says, the slow way."""
    told = {"none" if status is None else str(status), f"{status}"[:1] + "xx"}
    dotted = rule.record == "none" and rule.paths and {".", ".."} & set(path.split("/"))
    return (
        (not rule.methods or method in rule.methods)
        and fits(rule.paths, path)
        and not dotted
        and fits(rule.routes, "(none)" if route is None else route)
        and (not rule.actor_kinds or kind in rule.actor_kinds)
        and (not rule.services or service in rule.services)
        and (not rule.statuses or bool(told & set(map(str, rule.statuses))))
    )


@settings(max_examples=60, deadline=None)
@given(policies())
def test_first_match_wins_and_the_entry_is_never_too_lax(policy: Policy) -> None:
    """Over every request of a small world; twice, so that what is kept of the first time is tested too."""
    world = itertools.product(METHODS, PATHS, ROUTES, KINDS, SERVICES, STATUSES)
    for method, path, route, kind, service, status in [*world][::7] * 2:
        expected = next((r for r in policy.rules if applies(r, method, path, route, kind, service, status)), None)
        rule = policy.at_end(method, path, route, kind, service, status)
        assert rule is (expected or policy.default)
        entry = policy.at_entry(method, path, service)
        assert DURABILITIES.index(entry.durability) >= DURABILITIES.index(rule.durability)
        assert rule.failure == "serve" or entry.failure == "refuse"


@settings(max_examples=40, deadline=None)
@given(policies(), st.sampled_from(METHODS), st.sampled_from(PATHS), st.sampled_from(SERVICES))
def test_the_entry_is_no_stricter_than_a_rule_that_may_apply(
    policy: Policy, method: str, path: str, service: str
) -> None:
    """What it demands, each demand, is asked for by a rule before and up to the first that is certain."""
    durable: list[Durability] = ["group"]
    failure: Failure = "serve"
    for rule in policy.rules:
        open_rule = Rule(rule.name, rule.methods, rule.paths, services=rule.services, record=rule.record)
        if applies(open_rule, method, path, None, "user", service, 200):
            durable.append(rule.durability)
            failure = "refuse" if rule.failure == "refuse" else failure
            if not (rule.routes or rule.actor_kinds or rule.statuses):
                break
    assert policy.at_entry(method, path, service) == Entry(max(durable, key=DURABILITIES.index), failure)


@pytest.mark.parametrize(
    ("method", "path", "entry"),
    [
        ("GET", "/open/x", PLAIN_ENTRY),
        ("POST", "/open/x", Entry("before-end", "serve")),
        ("POST", "/x", Entry("before-and-after", "refuse")),
        ("GET", "/x", Entry("before-and-after", "refuse")),
        ("PUT", "/x", Entry("before-and-after", "serve")),
    ],
)
def test_the_entry_stops_at_the_first_certain_rule(method: str, path: str, entry: Entry) -> None:
    """A certain rule that asks for nothing hides stricter ones behind it; an uncertain one adds to them."""
    policy = Policy(
        (
            Rule("created", methods=("POST",), statuses=(201,), durability="before-end"),
            Rule("open", paths=("/open/**",)),
            Rule("failures", methods=("GET", "POST"), statuses=("5xx",), failure="refuse"),
            Rule("rest", durability="before-and-after"),
            Rule("behind", failure="refuse"),
        )
    )
    assert policy.at_entry(method, path, SERVICE) == entry


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(policies())
def test_explaining_is_deciding(policy: Policy) -> None:
    for method, path, route, kind, service, status in [
        *itertools.product(METHODS, PATHS, ROUTES, KINDS, SERVICES, STATUSES)
    ][::23]:
        whole = Request(method, path, route or "(none)", kind, service, "none" if status is None else status)
        steps = explain(policy, whole)
        applied = [step.rule for step in steps if step.verdict == "applies"]
        assert applied == [policy.at_end(method, path, route, kind, service, status).name]
        assert not any(step.verdict == "may-apply" for step in steps)
        half = explain(policy, Request(method, path, None, kind, None, None))
        assert applied[0] in [step.rule for step in half if step.verdict in ("applies", "may-apply")]


@settings(max_examples=80, deadline=None)
@given(policies())
def test_a_rule_warned_of_never_applies(policy: Policy) -> None:
    warned = {remark.rule for remark in remarks(policy) if remark.kind == "warning"}
    if not warned:
        return
    for request in itertools.product(METHODS, PATHS[:5], ROUTES, KINDS, SERVICES, STATUSES):
        assert policy.at_end(*request).name not in warned


@pytest.mark.parametrize(
    ("earlier", "later", "winners"),
    [
        ([{}], {"methods": ("GET",)}, "rule-0"),
        ([{"paths": ("/v1/**",)}], {"paths": ("/v1/users/*",)}, "rule-0"),
        ([{"statuses": ("4xx",)}], {"statuses": (404,)}, "rule-0"),
        ([{"methods": ("GET",)}, {"methods": ("POST",)}], {"methods": ("GET", "POST")}, "rule-0, rule-1"),
        ([{"actor_kinds": ("user",)}, {"actor_kinds": ("service", "anonymous")}], {}, "rule-0, rule-1"),
        ([{"paths": ("/a/*",)}, {"paths": ("/a/*/**",)}], {"paths": ("/a/**",)}, "rule-0, rule-1"),
        ([{"paths": ("/v1/users/*",)}], {"paths": ("/v1/**",)}, None),
        ([{"paths": ("/v1/*",)}], {"paths": ("/v1/a/b",)}, None),
        ([{"statuses": (404,)}], {"statuses": ("4xx",)}, None),
        ([{"services": ("core",)}], {}, None),
        ([{"routes": ("/**",)}], {"routes": ("(none)",)}, None),
        ([{"methods": ("GET",)}, {"statuses": (404,)}], {"methods": ("GET", "POST")}, None),
    ],
)
def test_unreachable(
    earlier: list[dict[str, tuple[str, ...]]], later: dict[str, tuple[str, ...]], winners: str
) -> None:
    rules = [Rule(f"rule-{i}", **given) for i, given in enumerate([*earlier, later])]  # type: ignore[arg-type]
    warnings = [remark for remark in remarks(Policy(tuple(rules))) if remark.kind == "warning"]
    assert [(w.rule, w.text.split(" before it")[0]) for w in warnings] == (
        [(rules[-1].name, f"can never apply: {winners}")] if winners else []
    )


GLOB_TEXT = st.text("ab/", max_size=6).map(lambda text: "/" + text)
GLOB = st.lists(st.sampled_from(["a", "b", "*", "a*", "*b*a", "**", ""]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
ONE_GLOB = GLOB.filter(lambda glob: glob_problem(glob) is None)


@given(st.lists(ONE_GLOB, min_size=1, max_size=3), st.lists(GLOB_TEXT, max_size=20))
def test_globs_match_as_they_read(globs: list[str], texts: list[str]) -> None:
    for text in texts:
        assert bool(matcher(globs)(text)) == fits(globs, text), (globs, text)


@pytest.mark.parametrize(
    ("glob", "text"), [("/a/**/b", "/a//b"), ("/a/**/b", "/a/b"), ("/*b*bb*", "/bbb"), ("**", ""), ("/a/**", "/a/\n")]
)
def test_globs_that_are_easily_got_wrong(glob: str, text: str) -> None:
    assert fits([glob], text)
    assert matcher([glob])(text)


SHORT = ["/" + "".join(letters) for n in range(6) for letters in itertools.product("ab/", repeat=n)]


@settings(max_examples=60, deadline=None)
@given(st.lists(ONE_GLOB, min_size=1, max_size=2), ONE_GLOB)
def test_covers_is_inclusion(outer: list[str], inner: str) -> None:
    # Texts put together from the glob itself reach further than all the short ones.
    longer = [inner.replace("**", deep).replace("*", step) for deep in ("x", "x/x", "a/b") for step in ("", "x", "ab")]
    texts = [text for text in (*SHORT, *longer) if matcher([inner])(text)]
    assert covers(outer, [inner]) == all(matcher(outer)(text) for text in texts)


def test_a_glob_takes_no_time_to_fail() -> None:
    """65 536 characters through many stars: exponential or cubic matching would not come back."""
    assert not matcher(["/**/*a*a*a*a*a*a*b"])("/" + "a" * 65_536)
    assert not matcher(["/*/**/a/*/b"])("/a" * 32_768)


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("/health/live", True),
        ("/health/../v1/admin", False),
        ("/health/./x", False),
        ("/health/..", False),
        ("/health/..;/admin", False),
        ("/health/..\\admin", False),
        ("/health/...", True),
        ("/health/.well-known", True),
    ],
)
def test_dots_do_not_hide_a_request(path: str, hidden: bool) -> None:
    policy = Policy((Rule("health", paths=("/health/**",), record="none"),))
    assert (policy.at_end("GET", path, None, "anonymous", SERVICE, 200).record == "none") is hidden


def test_the_default_records_everything() -> None:
    policy = Policy()
    assert policy.at_entry("GET", "/", SERVICE) is PLAIN_ENTRY
    rule = policy.at_end("GET", "/", None, "anonymous", SERVICE, 200)
    assert (rule.name, rule.record, rule.drop, rule.masked_path("/x"), rule.query_of(b"a=b")) == (
        "default", "all", (), "/x", None,
    )  # fmt: skip
    assert [rule.retention_for(status) for status in (200, 401, 403, 404, None)] == [
        "access", "security", "security", "access", "access",
    ]  # fmt: skip
    assert Rule("a", retention="control").retention_for(401) == "control"


@pytest.mark.parametrize(
    ("given_", "fitting", "others"),
    [
        ("4xx", (400, 499), (399, 500, None)),
        (404, (404,), (403, 405, None)),
        ("404", (404,), (403, 405, None)),
        ("none", (None,), (0, 200)),
    ],
)
def test_statuses(given_: int | str, fitting: tuple[int | None, ...], others: tuple[int | None, ...]) -> None:
    rule = Rule("a", statuses=(given_,))
    assert [rule.fits_status(status) for status in (*fitting, *others)] == [True] * len(fitting) + [False] * len(others)


def test_what_is_kept_of_answers_is_bounded() -> None:
    """A resolver that gives raw paths for routes must not fill the memory."""
    policy = Policy((Rule("a", routes=("/a",), durability="before-end"),))
    for i in range(MAX_PLANS + 10):
        assert policy.at_end("GET", "/", f"/raw/{i}", "user", SERVICE, 200) is policy.default
    assert len(policy._end_plans) <= MAX_PLANS


def test_minimise() -> None:
    rule = Rule("less", drop=("user_agent.original", "url.path"), address_bits=(24, 48))
    actor = ActorPart(
        client_address="192.0.2.77", network_peer_address="2001:db8:1:2::3", user_agent="x", user_id="ann"
    )
    target = TargetPart(url_path="/v1", target_id="7")
    rule.minimise(actor, target)
    assert actor == ActorPart(client_address="192.0.2.0/24", network_peer_address="2001:db8:1::/48", user_id="ann")
    assert target == TargetPart(target_id="7")


@pytest.mark.parametrize(
    ("address", "bits", "kept"),
    [
        ("192.0.2.0/16", (24, 48), "192.0.0.0/16"),
        ("192.0.2.0/24", (16, 48), "192.0.0.0/16"),
        ("2001:db8:1::/48", (24, 32), "2001:db8::/32"),
        ("unknown", (24, 48), "unknown"),
        ("/run/x.sock", (24, 48), "/run/x.sock"),
        ("192.0.2.7", (0, 0), "0.0.0.0/0"),
    ],
)
def test_addresses_only_ever_lose_bits(address: str, bits: tuple[int, int], kept: str) -> None:
    actor = ActorPart(client_address=address)
    Rule("less", address_bits=bits).minimise(actor, TargetPart())
    assert actor.client_address == kept


def test_every_member_can_be_dropped() -> None:
    everything = (*ACTOR_MEMBERS, *TARGET_MEMBERS)
    actor = ActorPart(**dict.fromkeys(ACTOR_MEMBERS.values(), "x"))  # type: ignore[arg-type]
    target = TargetPart(**dict.fromkeys(TARGET_MEMBERS.values(), "x"))
    Rule("nothing", drop=everything).minimise(actor, target)
    assert (actor, target) == (ActorPart(), TargetPart())
    listed = DOCS.read_text(encoding="utf-8").partition("Members that can be dropped:")[2].partition("###")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == set(everything)


def test_an_intent_shows_no_more_than_any_rule_that_may_apply() -> None:
    policy = Policy(
        (
            Rule("errors", statuses=("5xx",), drop=("user.id",), address_bits=(16, 64)),
            Rule("writes", methods=("POST",), mask_paths=("/v1/{mask}",), address_bits=(24, 48), keep_query=True),
            Rule("never-reached", methods=("POST",), drop=("trace_id",)),
        ),
        mask_paths=("/x/{mask}",),
    )
    intent = policy.for_intent("POST", "/v1/secret", SERVICE)
    assert (intent.name, intent.drop, intent.address_bits) == ("intent", ("user.id",), (16, 48))
    assert (intent.masked_path("/v1/secret"), intent.masked_path("/x/y")) == ("/v1/***", "/x/***")
    assert intent.query_of(b"a=b") is None
    assert policy.for_intent("POST", "/v1/other", SERVICE) is intent
    assert Policy(mask_paths=("/x/{mask}",)).for_intent("GET", "/x/y", SERVICE).masked_path("/x/y") == "/x/***"


def test_common_masks_hold_under_every_rule() -> None:
    policy = Policy((Rule("own", methods=("GET",), mask_paths=("/own/{mask}",)),), mask_paths=("/all/{mask}",))
    own, default = policy.rules[0], policy.default
    assert [own.masked_path(p) for p in ("/own/1", "/all/1")] == ["/own/***", "/all/***"]
    assert [default.masked_path(p) for p in ("/own/1", "/all/1")] == ["/own/1", "/all/***"]


def test_unrecorded_counts_from_all_threads() -> None:
    unrecorded = Unrecorded()

    def work() -> None:
        for i in range(2000):
            unrecorded.count(f"rule-{i % 2}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    taken: list[dict[str, int]] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            taken.append(unrecorded.take())
    finally:
        sys.setswitchinterval(interval)
    taken.append(unrecorded.take())
    assert [sum(each.get(name, 0) for each in taken) for name in ("rule-0", "rule-1")] == [4000, 4000]
    assert unrecorded.take() == {}


RULE = '[[rule]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule]\n", "p.toml: not TOML"),
        ("[[rules]]\n", "p.toml: unknown key rules; did you mean rule?"),
        ("[rule]\nname = 'a'\n", "p.toml: rule: expected tables [[rule]]"),
        ("rule = [1]\n", "p.toml: rule: expected tables [[rule]]"),
        ("[[rule]]\n", "p.toml: [[rule]] 1: expected a name"),
        (RULE + "pathes = []\n", "p.toml: [[rule]] 1 'a': unknown key pathes; did you mean paths?"),
        (RULE + "_mask = 1\n", "p.toml: [[rule]] 1 'a': unknown key _mask"),
        (RULE + "fits_path = 1\n", "p.toml: [[rule]] 1 'a': unknown key fits_path"),
        (RULE + 'methods = "GET"\n', "methods: expected a list of texts, found 'GET'"),
        (RULE + 'methods = ["GETS"]\n', "p.toml: [[rule]] 1: rule 'a': methods: unknown 'GETS'; did you mean GET?"),
        (RULE + 'paths = ["v1"]\n', "paths: 'v1': expected it to begin with /"),
        (RULE + 'paths = ["/a**"]\n', "paths: '/a**': expected ** to be a whole segment"),
        (RULE + 'routes = ["/**/a/**"]\n', "routes: '/**/a/**': expected ** once at most"),
        (RULE + 'paths = ["(none)"]\n', "paths: '(none)': expected it to begin with /"),
        (RULE + 'actor_kinds = ["users"]\n', "actor_kinds: unknown 'users'; did you mean user?"),
        (RULE + "statuses = [600]\n", "statuses: expected such as 404"),
        (RULE + "statuses = [true]\n", "statuses: expected such as 404"),
        (RULE + 'statuses = ["40x"]\n', "statuses: expected such as 404"),
        (RULE + 'record = "some"\n', "record: expected all or none, found 'some'"),
        (RULE + 'durability = "before"\n', "did you mean before-end?"),
        (RULE + 'failure = "deny"\n', "failure: expected serve or refuse, found 'deny'"),
        (RULE + 'retention = "acces"\n', "did you mean access?"),
        (RULE + "keep_query = 1\n", "keep_query: expected false or true, found 1"),
        (RULE + 'drop = ["user_agent"]\n', "drop: unknown 'user_agent'; did you mean user_agent.original?"),
        (RULE + "address_bits = [33, 48]\n", "address_bits: expected bits of IPv4"),
        (RULE + "address_bits = 24\n", "address_bits: expected bits of IPv4"),
        (RULE + 'mask_paths = ["/a/b"]\n', "rule 'a': mask_paths: '/a/b': expected segments"),
        (RULE + 'mask_paths = ["re:("]\n', "rule 'a': mask_paths: 're:(' is not a regular expression"),
        (RULE + 'record = "none"\ndurability = "before-end"\n', "durability: has no meaning with record"),
        (RULE + 'record = "none"\nkeep_query = true\n', "keep_query: has no meaning with record"),
        (RULE + RULE, "p.toml: rule 'a': the name is used twice"),
        ('[[rule]]\nname = "default"\n', "rule 'default': the name is taken"),
        ('[[rule]]\nname = "Ann Other"\n', "name: expected lower-case words joined by dashes"),
        ("[[rule]]\nname = 7\n", "name: expected lower-case words joined by dashes"),
        (f'[[rule]]\nname = "{"a" * 41}"\n', "at most 40 characters"),
        ('mask_paths = "/a/{mask}"\n', "p.toml: mask_paths: expected a list of texts"),
        ('mask_paths = ["/a"]\n', "mask_paths: '/a': expected segments"),
    ],
)
def test_a_file_that_is_no_policy(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        parse_policy(text, "p.toml")
    assert str(caught.value).startswith("p.toml: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    with pytest.raises(SettingsError, match="not TOML"):
        load_policy(tmp_path / "latin.toml")


def documented() -> Policy:
    (block,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return parse_policy(block, "docs/policy.md")


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (("GET", "/healthz", None, "anonymous", SERVICE, 200), "health-checks"),
        (("GET", "/healthz", None, "anonymous", SERVICE, 503), "visitors"),
        (("POST", "/v1/proofs", "/v1/proofs", "user", SERVICE, 201), "proof-submission"),
        (("GET", "/v1/admin/x", "/v1/admin/{what}", "user", SERVICE, 200), "administration"),
        (("GET", "/v1/users/7", "/v1/users/{user_id}", "user", SERVICE, 200), "default"),
    ],
)
def test_the_documented_policy(request_: tuple[str, str, str | None, str, str, int | None], name: str) -> None:
    assert documented().at_end(*request_).name == name


def test_the_documented_policy_has_no_warnings() -> None:
    assert [remark for remark in remarks(documented()) if remark.kind == "warning"] == []
    assert documented().at_entry("POST", "/v1/proofs", SERVICE) == Entry("before-and-after", "refuse")
    assert documented().at_entry("GET", "/v1/proofs", SERVICE) == Entry("before-end", "serve")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(exit_on_error=False)
    COMMAND.configure(parser)
    args = parser.parse_args(["check", *words])
    code: int = args.run(args)
    return code


@pytest.fixture
def policy_file(tmp_path: Path) -> str:
    path = tmp_path / "policy.toml"
    path.write_text(
        '[[rule]]\nname = "health"\npaths = ["/healthz"]\nrecord = "none"\n'
        '[[rule]]\nname = "errors"\nstatuses = ["5xx"]\nfailure = "refuse"\n'
        '[[rule]]\nname = "users"\nroutes = ["/v1/users/*"]\nservices = ["gateway"]\n'
    )
    return str(path)


def test_check_explains(policy_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = ["--route", "/v1/users/{user_id}", "--status", "200", "--service", "gateway", "--actor-kind", "user"]
    assert run(policy_file, "--request", "GET /v1/users/7", *known) == 0
    out = capsys.readouterr().out
    assert "health: does not apply: the path is /v1/users/7, the rule wants /healthz" in out
    assert "errors: does not apply: the status is 200, the rule wants 5xx" in out
    assert "users: APPLIES\n" in out
    assert "durability group, failure refuse" in out
    assert "note: errors: failure = refuse is decided before" in out
    assert "note: health: leaves failures unrecorded" in out
    assert "Next: " in out


def test_check_leaves_open_what_is_not_said(policy_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(policy_file, "--request", "GET /v1/users/7", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["applies"] == ["errors", "users", "default"]
    assert told["steps"][2] == {
        "rule": "users",
        "verdict": "may-apply",
        "reasons": ["if the service is gateway", "if the route is /v1/users/*"],
    }
    assert told["entry"] == {"durability": "group", "failure": "refuse"}
    assert run(policy_file, "--request", "GET /healthz", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["applies"], told["steps"][1]["verdict"]) == (["health"], "not-reached")


def test_check_does_not_send_one_to_a_rule_that_others_hide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        '[[rule]]\nname = "first"\nroutes = ["/v1/**"]\nstatuses = ["2xx"]\n'
        '[[rule]]\nname = "others"\nstatuses = ["1xx", "3xx", "4xx", "5xx", "none"]\n'
        '[[rule]]\nname = "last"\nroutes = ["/v1/users/*"]\n'
    )
    assert run(str(path), "--request", "GET /v1/users/7") == 0
    out = capsys.readouterr().out
    assert "first: APPLIES if the route is /v1/** and if the status is 2xx; else" in out
    assert "last: APPLIES if" in out  # an application may answer with a status that is none of these
    assert run(str(path), "--request", "GET /v1/users/7", "--status", "200") == 0
    assert "last: not reached: first before it wins" in capsys.readouterr().out


def test_check_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\nname = "all"\n[[rule]]\nname = "late"\nmethods = ["GET"]\n')
    assert run(str(path)) == 1
    assert "warning: late: can never apply: all before it always wins" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["--request", "/v1"],
        ["--request", "GET"],
        ["--request", "GET /v1?a=b"],
        ["--request", "GET /v1", "--status", "99"],
        ["--request", "GET /v1", "--status", "²"],
        ["--route", "/v1"],
    ],
)
def test_check_refuses_bad_words(policy_file: str, words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^--(request|status|route)") as caught:
        run(policy_file, *words)
    assert caught.value.exit_code == 64
