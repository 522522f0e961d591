"""What must hold of the usage in the lake, checked before it is published.

Great Expectations is imported by ``expectations.validation`` alone, which runs in a process of
its own; everything else here is light.
"""
