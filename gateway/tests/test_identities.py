"""Who asks: known without asking each time, forgotten at once when told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from gateway_fakes import ORGANIZATION, TOKEN, USER, FakeRpc, Send

from chassis.testing import FixedClock
from gateway.identities import IdentityCache, digest_of, new_secret
from kernel.errors import Kind, Refusal

DIGEST = "d" * 64


class World:
    """A cache, its clocks, and an accounts that counts."""

    def __init__(self, **options: Any) -> None:
        self.clock = FixedClock()
        self.seconds = 1000.0
        self.connected = True
        self.asked = 0
        self.believed_for_s = 300.0
        self.session_left_s: float | None = 36_000.0
        self.cache = IdentityCache(60, clock=self.clock, monotonic=lambda: self.seconds, **options)
        self.cache.trust_while(lambda: self.connected)

    def fetch(self, digest: str) -> Mapping[str, Any]:
        self.asked += 1
        now = self.clock.now()
        left = self.session_left_s
        return {
            "identity": f"signed-{self.asked}", "user": USER, "organization": ORGANIZATION,
            "believed_until": now + timedelta(seconds=self.believed_for_s),
            "expires_at": None if left is None else now + timedelta(seconds=left),
        }  # fmt: skip

    def find(self, digest: str = DIGEST) -> str:
        return self.cache.find(digest, self.fetch).identity_token

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.clock.advance(seconds=seconds)


def test_known_credential_is_not_asked_for_again() -> None:
    world = World()
    assert {world.find() for _ in range(5)} == {"signed-1"}
    assert world.cache.find(DIGEST, world.fetch).user == USER


@pytest.mark.parametrize(
    ("believed_for_s", "session_left_s", "lives_s"),
    [(300, 36_000, 60), (300, None, 60), (20, 36_000, 20), (300, 10, 10), (300, 0, 0), (-5, None, 0)],
)
def test_entry_ends_with_whatever_ends_first(
    believed_for_s: float, session_left_s: float | None, lives_s: float
) -> None:
    world = World()
    world.believed_for_s, world.session_left_s = believed_for_s, session_left_s
    world.find()
    if lives_s:
        world.advance(lives_s - 0.1)
        assert world.find() == "signed-1"
        world.advance(0.1)
    assert world.find() == "signed-2"


def test_clock_that_jumps_back_keeps_nothing_alive() -> None:
    world = World()
    world.find()
    world.clock.advance(hours=-1)
    world.seconds += 60
    assert world.find() == "signed-2"


def test_revoked_credential_is_refused_at_once_without_asking() -> None:
    world = World()
    world.find()
    world.cache.revoke(DIGEST)
    with pytest.raises(Refusal, match="unauthenticated"):
        world.find()
    assert world.asked == 1
    assert world.find("e" * 64) == "signed-2"


def test_answer_from_before_the_revocation_does_not_survive_it() -> None:
    world = World()

    def revoked_meanwhile(digest: str) -> Mapping[str, Any]:
        answer = world.fetch(digest)
        world.cache.revoke(digest)
        return answer

    with pytest.raises(Refusal, match="unauthenticated"):
        world.cache.find(DIGEST, revoked_meanwhile)
    assert len(world.cache) == 0


def test_revocations_are_forgotten_after_any_look_up_has_ended() -> None:
    world = World()
    world.cache.revoke(DIGEST)
    world.advance(119)
    world.cache.revoke("e" * 64)
    with pytest.raises(Refusal):
        world.find()
    world.advance(2)
    world.cache.revoke("f" * 64)
    assert world.find() == "signed-1"


def test_answer_from_before_a_gap_is_not_kept() -> None:
    world = World()

    def gap_meanwhile(digest: str) -> Mapping[str, Any]:
        answer = world.fetch(digest)
        world.cache.clear()
        return answer

    assert world.cache.find(DIGEST, gap_meanwhile).identity_token == "signed-1"
    assert world.find() == "signed-2"


def test_gap_clears_what_was_known() -> None:
    world = World()
    world.find()
    world.cache.clear()
    assert world.find() == "signed-2"


def test_nothing_is_believed_while_revocations_are_not_heard() -> None:
    world = World()
    world.find()
    world.connected = False
    assert [world.find(), world.find()] == ["signed-2", "signed-3"]
    world.connected = True
    world.cache.clear()  # what the broadcast does when it is back
    assert [world.find(), world.find()] == ["signed-4", "signed-4"]


def test_connection_lost_during_a_look_up_keeps_nothing() -> None:
    world = World()

    def lost_meanwhile(digest: str) -> Mapping[str, Any]:
        world.connected = False
        return world.fetch(digest)

    world.cache.find(DIGEST, lost_meanwhile)
    assert len(world.cache) == 0


def test_cache_that_was_never_connected_asks_each_time() -> None:
    world = World()
    alone = IdentityCache()
    assert [alone.find(DIGEST, world.fetch).identity_token for _ in range(2)] == ["signed-1", "signed-2"]


def test_refusals_are_not_kept() -> None:
    world = World()

    def refuse(digest: str) -> Mapping[str, Any]:
        raise Refusal(Kind.UNAUTHENTICATED, "unauthenticated", "No.")

    with pytest.raises(Refusal):
        world.cache.find(DIGEST, refuse)
    assert world.find() == "signed-1"


def test_least_recently_used_goes_first() -> None:
    world = World(capacity=2)
    world.find("a")
    world.find("b")
    world.find("a")
    world.find("c")
    assert (world.find("a"), world.asked) == ("signed-1", 3)
    assert world.find("b") == "signed-4"


def test_threads_and_a_revocation_agree() -> None:
    world = World()
    start = threading.Barrier(9)
    refused_after: list[bool] = []

    def ask() -> None:
        start.wait()
        for _ in range(300):
            try:
                world.find()
            except Refusal:
                refused_after.append(True)
                return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait()
    world.cache.revoke(DIGEST)
    for thread in threads:
        thread.join()
    assert len(world.cache) == 0
    with pytest.raises(Refusal):
        world.find()


def test_secrets_are_long_and_differ() -> None:
    made = {new_secret("pcs_") for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 47 for secret in made)


class TestOverHttp:
    def test_one_look_up_serves_many_requests(self, send: Send, rpc: FakeRpc) -> None:
        for _ in range(5):
            assert send("GET", "/v1/cart").status_code == 200
        looked_up = [call for call in rpc.calls if call.method == "accounts.authenticate"]
        assert [call.data for call in looked_up] == [{"credential_digest": digest_of(TOKEN)}]

    def test_identity_goes_along_with_each_call_and_with_no_other_request(
        self, send: Send, client: FlaskClient, rpc: FakeRpc
    ) -> None:
        send("GET", "/v1/cart")
        send("GET", "/v1/cart")
        client.get("/v1/terms")
        assert [(call.method, call.identity_token) for call in rpc.calls] == [
            ("accounts.authenticate", None),
            ("cart.get_cart", "signed-by-accounts"),
            ("cart.get_cart", "signed-by-accounts"),
            ("catalog.get_terms", None),
        ]

    def test_revocation_elsewhere_ends_it_here(self, send: Send, identities: IdentityCache) -> None:
        assert send("GET", "/v1/cart").status_code == 200
        identities.revoke(digest_of(TOKEN))
        answer = send("GET", "/v1/cart")
        assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")

    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer ", "Basic " + TOKEN, TOKEN, "Bearer pcs_short", "Bearer xxx_" + "a" * 43,
         "Bearer " + TOKEN + " x", "Bearer pcs_" + "a" * 200],
    )  # fmt: skip
    def test_what_is_no_credential_asks_nobody(self, header: str, client: FlaskClient, rpc: FakeRpc) -> None:
        answer = client.get("/v1/cart", headers={"Authorization": header})
        assert (answer.status_code, rpc.calls) == (401, [])

    def test_accounts_away_is_503(self, send: Send, rpc: FakeRpc) -> None:
        rpc.replies["accounts.authenticate"] = Refusal(Kind.UNAVAILABLE, "unavailable", "Later.")
        answer = send("GET", "/v1/cart")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert rpc.names() == []

    def test_credentials_come_before_input(self, client: FlaskClient) -> None:
        assert client.post("/v1/cart/lines", json={"nonsense": 1}).status_code == 401
