"""Alerts: rules are judged on published figures, changes of state stored, messages sent."""
