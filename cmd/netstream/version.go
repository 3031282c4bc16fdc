package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, Go release and platform",
		Args:  refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine()); err != nil {
				return failure{fmt.Errorf("write output: %w", err)}
			}
			return nil
		},
	}
}

// versionLine is what the build recorded: "netstream v1.2.3 go1.26.8 linux/amd64". A build from a work tree without a
// tag says (devel), one without any record (unknown).
func versionLine() string {
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return fmt.Sprintf("netstream %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
