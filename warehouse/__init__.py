"""The lake: settings, connections, locks, snapshots, publishing, upkeep.

This package knows no other package of Meterhouse.
"""
