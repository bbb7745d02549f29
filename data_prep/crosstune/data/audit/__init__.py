"""The audit: what is in a collection that training and evaluation should not stumble over."""

from crosstune.data.audit.audit import Audit, audit
from crosstune.data.audit.page import render_audit

__all__ = ["Audit", "audit", "render_audit"]
