"""The Python API: sweeps, plans, exports and scores of data in memory, without Ray, Hydra or files.

`import microbench_ray as mb` exposes all of it.
"""
