"""Train code before and after a change and compare every number it logged.

Nothing here is imported by ``check`` and ``fix``, and nothing here knows of rules. The modules:
``references`` (old Lightning, ready to run), ``recorder`` (writes each number as it leaves
Lightning, inside the process that trains), ``record`` (reads that back), ``trees`` and ``training``
(run somebody's command in a folder, and be able to stop it), ``case`` (what must hold), ``compare``
(does it hold), ``report`` (say so).
"""
