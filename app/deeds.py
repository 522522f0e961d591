"""Every deed: what changes something, or takes a document away, with the least role for it.

The gate refuses a deed whose role is not reached, and logs it either way.
"""

from app.users import Deed

START_PURCHASE = Deed("purchase.start", "billing")
FINISH_PURCHASE = Deed("purchase.return", "billing")
PAY_AT_DEMO = Deed("purchase.demo", "billing")
SAVE_BUDGET = Deed("budget.save", "billing")
REMOVE_BUDGET = Deed("budget.remove", "billing")
CHANGE_ALERTS = Deed("alerts.change", "billing")
SEND_TEST = Deed("alerts.test", "billing")
SAVE_VIEW = Deed("view.save", "billing")
RENAME_VIEW = Deed("view.rename", "billing")
DELETE_VIEW = Deed("view.delete", "billing")
ACCEPT_ADVICE = Deed("advice.accept", "billing")
WITHDRAW_ADVICE = Deed("advice.withdraw", "billing")
MARK_INCIDENT = Deed("incident.mark", "billing")
START_EXPORT = Deed("export.start", "viewer")
FETCH_EXPORT = Deed("export.fetch", "viewer")
EXPORT_LEDGER = Deed("export.ledger", "viewer")
EXPORT_STATEMENT = Deed("export.statement", "viewer")
EXPORT_LINE = Deed("export.line", "viewer")
READ_RECEIPT = Deed("receipt.read", "billing")
READ_INVOICE = Deed("invoice.read", "billing")
SEND_INVOICE = Deed("invoice.send", "billing")
INVITE_MEMBER = Deed("member.invite", "admin")
CHANGE_MEMBER = Deed("member.role", "admin")
REMOVE_MEMBER = Deed("member.remove", "admin")
WITHDRAW_INVITATION = Deed("member.withdraw", "admin")

DEEDS = {deed.action: deed for deed in list(globals().values()) if isinstance(deed, Deed)}
"""All of them, by action."""
