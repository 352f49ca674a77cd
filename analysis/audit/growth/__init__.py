"""What torch's operators do to a tensor's axes and resolution, and which calls enlarge a map: records, no running.

Imports nothing but torch and `toolkit`.
"""
