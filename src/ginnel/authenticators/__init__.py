"""The authenticators that come with ginnel: ``htpasswd``, ``pam`` and ``ldap``.

They use ``ginnel.hooks`` only, as those of other packages do.
"""
