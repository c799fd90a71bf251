"""What culprit.py needs. Only `commands`, `travel` and `moment` use gdb; the others are plain Python."""
