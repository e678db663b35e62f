"""What sizes cost: a million rows under a limit of memory, boosting beyond memory, the unit costs of estimates."""
