"""Checks a signature that came from outside before it is sent.

A server says nothing about a wrong one for as long as a minute; here it is named at once.
"""

from ginnel.core.signing import Scheme, SignatureRequest
from ginnel.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


def signature_fits(key: "PublicKeyTypes", request: SignatureRequest, signature: bytes) -> bool:
    """Whether the owner of ``key`` made the signature; True where that cannot be told."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        _verify(key, request, signature)
    except (InvalidSignature, ValueError):
        return False
    except UnsupportedAlgorithm:
        return True
    return True


def _verify(key: "PublicKeyTypes", request: SignatureRequest, signature: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

    known: dict[str, hashes.HashAlgorithm] = {
        "SHA1": hashes.SHA1(),  # noqa: S303 -- what TLS 1.0 and 1.1 sign
        "SHA224": hashes.SHA224(),
        "SHA256": hashes.SHA256(),
        "SHA384": hashes.SHA384(),
        "SHA512": hashes.SHA512(),
    }
    hash_algorithm = known.get(request.hash_name)
    match key:
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            key.verify(signature, request.message)
        case ec.EllipticCurvePublicKey() if hash_algorithm is not None:
            key.verify(signature, request.message, ec.ECDSA(hash_algorithm))
        case rsa.RSAPublicKey() if hash_algorithm is not None:
            pss = padding.PSS(padding.MGF1(hash_algorithm), padding.PSS.DIGEST_LENGTH)
            form = pss if request.scheme is Scheme.RSA_PSS else padding.PKCS1v15()
            key.verify(signature, request.message, form, hash_algorithm)
        case _:
            return  # the digest of TLS before 1.2
