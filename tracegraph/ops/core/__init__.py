"""What a definition is: signature, arguments, types, autocasting, samples, dispatch."""
