"""Run calls to models. This package knows no HTTP."""
