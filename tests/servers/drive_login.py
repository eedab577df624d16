"""What the fake of Drive knows of who is who: tokens, service accounts, and the page that asks for consent.

Written after Google's documentation of OAuth 2.0, and not checked against Google.
"""

import base64
import hashlib
import html
import json
import secrets
import time
import urllib.parse
from pathlib import Path

CLIENT = {"client_id": "12345-kist.apps.googleusercontent.com", "client_secret": "GOCSPX-planted-client-secret"}
TOKEN_URI = "https://oauth2.googleapis.com/token"


class Login:
    """Gives out tokens and knows whose they are.

    Args:
        folder: where the key of the service accounts is kept.

    Attributes:
        living: seconds that a token lives.
    """

    def __init__(self, folder):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.tokens, self.codes, self.refreshing = {}, {}, {}
        self.living = 3600
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._public = key.public_key()
        Path(folder, "key.pem").write_bytes(text)

    def who(self, header):
        """Whose request it is, None for nobody's."""
        kind, _, token = (header or "").partition(" ")
        name, until = self.tokens.get(token, (None, 0))
        return name if kind == "Bearer" and until > time.time() else None

    def _give(self, name, **more):
        token = "ya29.planted-access-" + secrets.token_urlsafe(20)
        self.tokens[token] = (name, time.time() + self.living)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.living, **more}

    # ── the token endpoint ───────────────────────────────────────────────────────────────────────────────────────────

    def grant(self, form):
        """Answer a request for a token."""
        kinds = {
            "urn:ietf:params:oauth:grant-type:jwt-bearer": self._of_assertion,
            "refresh_token": self._of_refresh_token,
            "authorization_code": self._of_code,
        }
        answer = kinds.get(form.get("grant_type"))
        return answer(form) if answer else (400, {"error": "unsupported_grant_type"})

    def _of_assertion(self, form):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        signed, _, signature = form["assertion"].rpartition(".")
        claims = json.loads(_decoded(signed.partition(".")[2]))
        try:
            self._public.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if claims["exp"] < time.time() or claims["aud"] != TOKEN_URI or "drive" not in claims["scope"]:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT: check iat, exp, aud and scope."}
        if claims["iss"].startswith("gone@"):
            return 400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
        return self._give(claims.get("sub") or claims["iss"])

    def _client_is_right(self, form):
        return all(form.get(name) == value for name, value in CLIENT.items())

    def _of_refresh_token(self, form):
        if not self._client_is_right(form):
            return 401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}
        name = self.refreshing.get(form.get("refresh_token"))
        if name is None:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        return self._give(name)

    def _of_code(self, form):
        if not self._client_is_right(form):
            return 401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}
        asked = self.codes.pop(form.get("code"), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if asked is None or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant", "error_description": "Bad Request"}
        if asked.get("code_challenge") != challenge:
            return 400, {"error": "invalid_grant", "error_description": "Invalid code verifier."}
        more = {}
        if asked.get("access_type") == "offline":
            more["refresh_token"] = token = "1//planted-refresh-" + secrets.token_urlsafe(20)
            self.refreshing[token] = "person@example.com"
        return self._give("person@example.com", **more)

    # ── the page of consent ──────────────────────────────────────────────────────────────────────────────────────────

    def page(self, asked):
        """The page that a browser shows: (status, HTML)."""
        back = urllib.parse.urlsplit(asked.get("redirect_uri", ""))
        if asked.get("client_id") != CLIENT["client_id"]:
            return 401, "Error 401: invalid_client"
        if back.scheme != "http" or back.hostname not in ("127.0.0.1", "localhost"):
            return 400, "Error 400: redirect_uri_mismatch"
        if asked.get("response_type") != "code" or "drive" not in asked.get("scope", ""):
            return 400, "Error 400: invalid_request"
        links = {}
        for word in ("allow", "deny"):
            query = urllib.parse.urlencode({**asked, "answer": word})
            links[word] = html.escape(f"/o/oauth2/answer?{query}")
        text = "".join(f'<a id="{word}" href="{link}">{word}</a> ' for word, link in links.items())
        return 200, f"<html><body>kist wants to access your files. {text}</body></html>"

    def answered(self, asked):
        """Where the browser goes when the user has answered."""
        back = {"state": asked["state"]} if "state" in asked else {}
        if asked["answer"] == "allow":
            back["code"] = code = "4/0planted-code-" + secrets.token_urlsafe(20)
            self.codes[code] = asked
        else:
            back["error"] = "access_denied"
        return f"{asked['redirect_uri']}?{urllib.parse.urlencode(back)}"


def _decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
