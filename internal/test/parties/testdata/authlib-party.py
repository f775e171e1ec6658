"""Authlib signs a user in, and finds the claims of the user in the ID token."""
import os

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.common.security import generate_token
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oidc.core import CodeIDToken, UserInfo

issuer = os.environ["ISSUER"]


def ask(question):
    print(question, flush=True)
    return input()


client = OAuth2Session(
    "authlib", "s3cret",
    scope="openid profile email groups offline_access",
    redirect_uri="http://127.0.0.1:9/done",
    code_challenge_method="S256",
)
client.verify, client.trust_env = os.environ["CERT"], False
metadata = client.get(issuer + "/.well-known/openid-configuration", withhold_token=True).json()
keys = JsonWebKey.import_key_set(client.get(metadata["jwks_uri"], withhold_token=True).json())
jwt = JsonWebToken(["ES256"])

verifier, nonce = generate_token(48), generate_token(20)
address, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
back = ask("open " + address)
token = client.fetch_token(metadata["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)

identity = jwt.decode(
    token["id_token"], keys, claims_cls=CodeIDToken,
    claims_options={"iss": {"values": [issuer]}, "aud": {"values": ["authlib"]}},
    claims_params={"nonce": nonce, "client_id": "authlib", "access_token": token["access_token"]},
)
identity.validate()
assert identity["preferred_username"] == "diane" and identity["groups"] == ["sales", "staff"], identity

info = UserInfo(client.get(metadata["userinfo_endpoint"]).json())
assert info.sub == identity["sub"] and info.email_verified is True, info

old = dict(client.token)
new = client.refresh_token(metadata["token_endpoint"])
assert new["refresh_token"] != old["refresh_token"], "the refresh token is the same"
assert client.get(metadata["userinfo_endpoint"]).json()["sub"] == identity["sub"]

# A verifier of another sign-in: the code is of no use.
address, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, prompt="none")
try:
    client.fetch_token(
        metadata["token_endpoint"], authorization_response=ask("open " + address), state=state, code_verifier=generate_token(48))
    raise SystemExit("a code with the verifier of another sign-in was accepted")
except OAuthError as refused:
    assert refused.error == "invalid_grant", refused

client.token = new
bye = metadata["end_session_endpoint"] + "?post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fbye&id_token_hint=" + token["id_token"]
assert ask("open " + bye) == "http://127.0.0.1:9/bye"
logout = jwt.decode(ask("logout authlib"), keys)
assert logout["sid"] == identity["sid"] and logout["aud"] == "authlib" and "nonce" not in logout, logout

assert client.revoke_token(metadata["revocation_endpoint"], new["refresh_token"]).status_code == 200
assert client.get(metadata["userinfo_endpoint"], withhold_token=False).status_code == 401
print("done")
