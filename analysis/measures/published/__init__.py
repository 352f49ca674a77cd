"""The field's published measures as published, defects included: for comparison, never for judging."""

COMPONENT = "module"
