"""A real broker that asks for TLS, a client certificate, passwords or tokens, and checks ACLs; and a token endpoint."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it does not list what it exports
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from infrastructure.local.processes import free_port
from tests.support.kafka_server import KafkaServer

USER: Final = "ras"
LIMITED_USER: Final = "ras-limited"
PASSWORD: Final = "a secret, with = and ; in it"
_DEADLINE_S: Final = 30.0

Grant = tuple[ResourceType, str, AclOperation]
"""What, its name, and what may be done with it."""


class SecuredKafka(KafkaServer):
    """Listeners: plain for the test's own clients (a super user), TLS with client certificates, SASL with and without TLS."""

    def __init__(self, folder: Path, *, java: str, jars: Path) -> None:
        super().__init__(folder, java=java, jars=jars)
        self._ports = {name: free_port() for name in ("TLS", "SASLTLS", "SASLPLAIN")}
        self.certificates = folder / "certificates"
        self.certificates.mkdir(parents=True)
        self._issue()
        plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_{}="{}" ;'
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        oauth = (
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="unused" ;'
        )
        sasl = {
            f"listener.name.{listener}.{setting}": value
            for listener in ("sasltls", "saslplain")
            for setting, value in {
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                "plain.sasl.jaas.config": plain.format(USER, PASSWORD),
                "scram-sha-256.sasl.jaas.config": scram,
                "scram-sha-512.sasl.jaas.config": scram,
                "oauthbearer.sasl.jaas.config": oauth,
            }.items()
        }
        names = {
            "PLAINTEXT": f"127.0.0.1:{self._port}",
            **{name: f"localhost:{port}" for name, port in self._ports.items()},
        }
        advertised = ",".join(f"{name}://{address}" for name, address in names.items())
        self._settings = {
            "listeners": f"{advertised},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,"
            "SASLPLAIN:SASL_PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates / "ca.pem"),
            "listener.name.tls.ssl.client.auth": "required",
            **sasl,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER};User:O=ras",
            "listener.name.tls.ssl.principal.mapping.rules": "RULE:^.*$/O=ras/",
        }

    def address(self, listener: str) -> str:
        """Return `host:port` of a listener: TLS, SASLTLS or SASLPLAIN."""
        return f"localhost:{self._ports[listener]}"

    def add_scram_users(self) -> None:
        """Give both users their password for both SCRAM mechanisms."""
        admin = self._admin()  # its requests end with it
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            credential = ScramCredentialInfo(mechanism, 4096)
            changes: list[UserScramCredentialAlteration] = [
                UserScramCredentialUpsertion(user, credential, PASSWORD.encode())
                for user in (USER, LIMITED_USER)
            ]
            for future in admin.alter_user_scram_credentials(changes).values():
                future.result(_DEADLINE_S)

    def grant_exactly(self, grants: Sequence[Grant]) -> None:
        """Give the limited user these rights and no others."""
        principal = f"User:{LIMITED_USER}"
        everything = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]  # any name
            ResourcePatternType.ANY,
            principal,
            None,  # type: ignore[arg-type]  # any host
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        admin = self._admin()
        for deleted in admin.delete_acls([everything]).values():
            deleted.result(_DEADLINE_S)
        wanted = [
            AclBinding(
                kind, name, ResourcePatternType.LITERAL, principal, "*", operation, AclPermissionType.ALLOW
            )
            for kind, name, operation in grants
        ]
        for made in (admin.create_acls(wanted) if wanted else {}).values():
            made.result(_DEADLINE_S)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def _issue(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.certificates / "ca.pem")
        trustme.CA().cert_pem.write_to_path(self.certificates / "other-ca.pem")
        client = authority.issue_cert("ras.example")
        client.private_key_pem.write_to_path(self.certificates / "client.key")
        client.cert_chain_pems[0].write_to_path(self.certificates / "client.pem")
        broker = authority.issue_cert("localhost")
        key = load_pem_private_key(broker.private_key_pem.bytes(), None)
        parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        parts += [pem.bytes() for pem in broker.cert_chain_pems]
        (self.certificates / "broker.pem").write_bytes(b"".join(parts))


@contextmanager
def token_endpoint() -> Iterator[str]:
    """Lend the URL of an endpoint that issues unsigned tokens for client credentials with the right secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            expected = "Basic " + _base64(f"{USER}:{PASSWORD}", padded=True)
            right = self.headers.get("Authorization") == expected
            now = int(time.time())
            claims = json.dumps({"sub": USER, "iat": now, "exp": now + 600})
            token = f"{_base64(json.dumps({'alg': 'none'}))}.{_base64(claims)}."
            body = json.dumps(
                {"access_token": token, "expires_in": 600} if right else {"error": "invalid_client"}
            )
            self.send_response(200 if right else 401)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        thread.join()


def _base64(text: str, *, padded: bool = False) -> str:
    return (
        b64encode(text.encode()).decode() if padded else urlsafe_b64encode(text.encode()).decode().rstrip("=")
    )
