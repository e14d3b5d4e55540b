"""The program from Python: sweeps, plans, exports and scores on data in memory, without Ray, Hydra or files.

`import microbench_ray as mb` has all of it.
"""
