"""The tests of Meterhouse."""
