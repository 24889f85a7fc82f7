"""Binds to the system's libpam: one function that judges a login.

PAM runs modules of others in this process, which may block, print or crash: ``pam_worker`` calls
this in a process of its own for each login.
"""

import ctypes
import ctypes.util
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_size_t, c_void_p, cast

_PROMPT_ECHO_OFF = 1
_PROMPT_ECHO_ON = 2
_SUCCESS = 0
_BUFFER_ERROR = 5
_CONVERSATION_ERROR = 19
_RHOST = 4
_MAX_MESSAGES = 32


class _Message(Structure):
    _fields_ = (("style", c_int), ("text", c_char_p))


class _Response(Structure):
    _fields_ = (("text", c_void_p), ("code", c_int))


_Converse = CFUNCTYPE(c_int, c_int, POINTER(POINTER(_Message)), POINTER(c_void_p), c_void_p)


class _Conversation(Structure):
    _fields_ = (("function", _Converse), ("data", c_void_p))


def check_login(service: str, username: bytes, password: bytes, host: bytes) -> str:
    """Judges a login by the PAM service; empty when it is good, else why it is not.

    Raises OSError without a libpam.
    """
    pam, libc = _libraries()

    def converse(count: int, messages: object, answers: object, _data: object) -> int:
        return _answer(libc, count, messages, answers, (password, username))

    conversation = _Conversation(_Converse(converse), None)
    handle = c_void_p()
    status = pam.pam_start(
        service.encode(), username, ctypes.byref(conversation), ctypes.byref(handle)
    )
    if status != _SUCCESS:
        return f"PAM cannot be started (status {status})"
    if host:
        pam.pam_set_item(handle, _RHOST, host)
    status = pam.pam_authenticate(handle, 0)
    if status == _SUCCESS:
        status = pam.pam_acct_mgmt(handle, 0)
    reason = "" if status == _SUCCESS else pam.pam_strerror(handle, status).decode(errors="replace")
    pam.pam_end(handle, status)
    return reason


def _answer(
    libc: ctypes.CDLL, count: int, messages: object, answers: object, told: tuple[bytes, bytes]
) -> int:
    """Answers hidden questions with the password, others with the name. PAM frees the answers."""
    if not 0 < count <= _MAX_MESSAGES:
        return _CONVERSATION_ERROR
    memory = libc.calloc(count, ctypes.sizeof(_Response))
    if not memory:
        return _BUFFER_ERROR
    asked = cast(messages, POINTER(POINTER(_Message)))  # type: ignore[arg-type]  # a C pointer
    filled = cast(memory, POINTER(_Response))
    for index in range(count):
        style = asked[index].contents.style
        if style in (_PROMPT_ECHO_OFF, _PROMPT_ECHO_ON):
            filled[index].text = libc.strdup(told[style - _PROMPT_ECHO_OFF])
    cast(answers, POINTER(c_void_p))[0] = memory  # type: ignore[arg-type]  # as above
    return _SUCCESS


def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """libpam and libc, their functions declared. Raises OSError."""
    try:
        pam = ctypes.CDLL(ctypes.util.find_library("pam") or "libpam.so.0")
    except OSError as missing:
        raise OSError(f"the system's libpam is missing ({missing}): install libpam0g") from None
    libc = ctypes.CDLL(None)
    libc.calloc.restype, libc.calloc.argtypes = c_void_p, (c_size_t, c_size_t)
    libc.strdup.restype, libc.strdup.argtypes = c_void_p, (c_char_p,)
    pam.pam_start.argtypes = (c_char_p, c_char_p, POINTER(_Conversation), POINTER(c_void_p))
    pam.pam_set_item.argtypes = (c_void_p, c_int, c_char_p)
    pam.pam_authenticate.argtypes = pam.pam_acct_mgmt.argtypes = pam.pam_end.argtypes = (
        c_void_p,
        c_int,
    )
    pam.pam_strerror.restype, pam.pam_strerror.argtypes = c_char_p, (c_void_p, c_int)
    return pam, libc
