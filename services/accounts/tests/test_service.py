"""The service as it runs: its entrypoints over a bus, one process, one database."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
from chassis import runner  # first: it makes the standard library cooperate

import hashlib, os, sys
from datetime import date

import eventlet

from accounts.bootstrap import bootstrap
from accounts.messages import Authenticated
from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.register_organization import register_organization
from accounts.use_cases.register_user import register_user
from chassis import context
from chassis.identity import public_key_of
from chassis.rpc import RpcClient
from chassis.sealing import Opener, Sealer, new_key
from chassis.service import Runtime
from chassis.settings import Environment
from kernel.errors import Refusal

signing, sealing = new_key(), new_key()
os.environ.update({
    "AMQP_URI": "memory://", "ACCOUNTS_DATABASE_URL": sys.argv[1], "IDENTITY_SIGNING_KEY": signing,
    "ACCOUNTS_SEALING_KEY": sealing,
    "NOTIFICATIONS_SEALING_PUBLIC_KEY": Opener(new_key()).public_key, "IDENTITY_PUBLIC_KEY": public_key_of(signing),
    "ACCOUNTS_PASSWORD_MEMORY_KIB": "8", "ACCOUNTS_PASSWORD_PASSES": "1", "ACCOUNTS_PASSWORD_LANES": "1",
})
runner.migrate_service("accounts", Environment())
app = bootstrap(Runtime.read("accounts", Environment()))
register_organization(app, id="org_acme", number=1003, name="Acme")
register_user(app, id="usr_ada", organization_id="org_acme", email="ada@acme.example", name="Ada", password="secret",
              role="buyer")
register_deployment(app, id="14181336", organization_id="org_acme", name="Berlin", registered_on=date(2017, 6, 15))
app.database.close()

service = runner.load("accounts")
runner.declare_topology("memory://", [service])
running = runner.build_runner([service])
running.start()
client = RpcClient("memory://", "test")
ask = lambda method, **data: client.call("accounts", method, data, timeout_s=30)

digest = hashlib.sha256(b"token").hexdigest()
sealed = Sealer(Opener(sealing).public_key).seal("secret")
assert ask("health") == {"service": "accounts"}
pool = eventlet.GreenPool()
begun = [pool.spawn(ask, "sign_in", email="ADA@acme.example", sealed_password=sealed,
                    session_digest=hashlib.sha256(bytes([number])).hexdigest(), client_address="192.0.2.7")
         for number in range(8)]
assert {answer.wait()["user"]["id"] for answer in begun} == {"usr_ada"}
ask("sign_in", email="ada@acme.example", sealed_password=sealed, session_digest=digest, client_address="192.0.2.7")
answer = Authenticated().load(ask("authenticate", credential_digest=digest))

def refused(method, **data):
    try:
        ask(method, **data)
    except Refusal as refusal:
        return refusal.code
    raise AssertionError(f"{method} was answered")

assert refused("search_deployments", q="") == "unauthenticated"
assert refused("sign_out", session_digest=digest) == "unauthenticated"
with context.entered(context.RequestContext("cor_1", answer["identity"])):
    [found] = ask("search_deployments", q="berl")["items"]
    assert found["registered_on"] == "2017-06-15", found
    assert refused("get_deployment", id="1") == "not_found"
    assert refused("get_deployment", id="1", organization_id="org_globex") == "validation_failed"
    assert refused("list_api_keys") == "forbidden"
    assert ask("sign_out", session_digest=digest) == {}
assert refused("authenticate", credential_digest=digest) == "unauthenticated"
client.stop()
runner.stop_runner(running)
print("all answered")
"""


def test_the_service_answers_over_a_bus(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, f"sqlite:///{tmp_path}/accounts.db"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "all answered", done.stderr
    assert "secret" not in done.stderr
