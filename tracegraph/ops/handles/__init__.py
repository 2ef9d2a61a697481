"""What every tensor-shaped handle has, eager or traced: its methods, what it answers, and how it is indexed."""
