"""Control-channel wrappings: plain, tls-auth, tls-crypt and tls-crypt-v2."""

from ginnel.core.wrap.api import Wrapping
from ginnel.core.wrap.build import wrapping_for

__all__ = ["Wrapping", "wrapping_for"]
