"""What an hour of computing and a million tokens cost: two files for people to edit, and their one reader."""
