"""The part of the zoo that speaks Part 2: a correct server, and what is wrong or odd with others."""
