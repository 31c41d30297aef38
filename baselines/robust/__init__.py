"""Robust optimisation in two stages: decide, then meet the worst of what a set allows.

With scenes s of probability p_s, decisions x that all share, what deviates u, and the recourse y::

    min over x  sum_s p_s  max over u in U_s  min over y  cost_s . (x, y)
    subject to  low_s + push_s u <= A_s (x, y) <= high_s + push_s u,  (x, y) within bounds

Source: Zeng & Zhao 2013 (column and constraint generation); the scenes, the nesting and progressive
hedging are Bian & Ji's (2025).
"""
