module leadsman.dev/recorders

go 1.26

require github.com/Masterminds/semver/v3 v3.1.1

require github.com/ryanuber/go-glob v1.0.0
