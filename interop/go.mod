module github.com/seed-9ac8cf60/netstream/interop

go 1.25.0

require (
	github.com/seed-9ac8cf60/netstream v0.0.0
	go.uber.org/goleak v1.3.0
)

require golang.org/x/sys v0.45.0 // indirect

replace github.com/seed-9ac8cf60/netstream => ../
