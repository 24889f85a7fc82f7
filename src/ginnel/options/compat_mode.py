"""What ``compat-mode`` and ``ncp-disable`` change once all options are read.

The steps are those of openvpn 2.6 (protocol-facts 19).
"""

from ginnel.options.draft import Draft

OLD_DEFAULT_CIPHER = "BF-CBC"
"""What 2.4 and older used when no cipher was given."""


def settle_compatibility(draft: Draft) -> None:
    """Fills in the defaults of the release that was named."""
    if not draft.options.data.negotiates:
        _use_one_cipher(draft)
    version = draft.options.data.compat_mode
    if not version:
        return
    if version < 20307 and not draft.places.has("tls-version-min"):
        draft.set_field("tls.tls_version_min", "1.0")
    if version < 20400:
        _enable_fallback(draft)
    if version < 20500:
        _accept_configured_cipher(draft)
    if version < 20600 and not draft.places.has("allow-compression"):
        draft.set_field("data.allow_compression", True)


def _use_one_cipher(draft: Draft) -> None:
    data = draft.options.data
    cipher = data.configured_cipher or data.data_ciphers_fallback or OLD_DEFAULT_CIPHER
    draft.set_field("data.configured_cipher", cipher)
    draft.set_field("data.data_ciphers", (cipher,))
    draft.set_field("data.data_ciphers_fallback", cipher)


def _enable_fallback(draft: Draft) -> None:
    data = draft.options.data
    cipher = data.data_ciphers_fallback or data.configured_cipher or OLD_DEFAULT_CIPHER
    if data.configured_cipher is None:
        draft.set_field("data.configured_cipher", cipher)
    draft.set_field("data.data_ciphers_fallback", cipher)


def _accept_configured_cipher(draft: Draft) -> None:
    data = draft.options.data
    cipher = data.data_ciphers_fallback or data.configured_cipher
    if cipher is not None and cipher not in data.data_ciphers:
        draft.set_field("data.data_ciphers", (*data.data_ciphers, cipher))
