"""What the gateway costs, measured beside no proxy at all and beside the barest one."""
