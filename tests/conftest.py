"""For all tests: jsonschema without a grammar that it would build for a second and half in every worker."""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # of a format that no schema here has
