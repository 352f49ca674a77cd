"""Judges the claims: the contract of a claim, the run of its checks, the committed verdicts and their page.

May import the rooms of running and storing; knows no command line.
"""
