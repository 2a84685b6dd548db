module leadsman.dev/recorders

go 1.26
