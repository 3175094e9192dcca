"""The part of ironic-python-agent's interface that a hardware manager meets: names, signatures, and which of several
managers is called. It stands in where the real package is not to be had (Debian has none), so that the manager in
packaging/ipa can be loaded and run. IPA_SITE makes the same test run with the real one instead (test_ipa_manager.py)."""
