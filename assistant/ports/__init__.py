"""What the service needs of the world.

A port with more than one implementation has a contract suite in ``tests/contracts`` that each of them passes.
"""
