package main

import (
	"debug/buildinfo"
	"fmt"
	"io"

	"github.com/CycloneDX/cyclonedx-go"
)

// sbom writes what each program is made of, as CycloneDX 1.6: the modules that the linker has put into it, with the
// sums that Go checked.
func (r *release) sbom() error {
	for _, prog := range []program{server, wallet} {
		// The modules differ by system only in a few that wrap system calls.
		for _, p := range r.platforms {
			info, err := buildinfo.ReadFile(r.binary(prog, p))
			if err != nil {
				return err
			}

			bom := r.bill(prog, info)
			name := fmt.Sprintf("%s_%s_%s_%s.cdx.json", prog.name, r.number(), p.os, p.arch)
			err = r.create(name, func(w io.Writer) error {
				encoder := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
				return encoder.SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
			})
			if err != nil {
				return err
			}
		}
	}

	return nil
}

// bill is the bill of one program.
func (r *release) bill(prog program, info *buildinfo.BuildInfo) *cyclonedx.BOM {
	main := component(info.Main.Path, r.version, cyclonedx.ComponentTypeApplication)
	main.Name = prog.name

	components := []cyclonedx.Component{component("std", info.GoVersion[len("go"):], cyclonedx.ComponentTypeLibrary)}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		components = append(components, component(module.Path, module.Version, cyclonedx.ComponentTypeLibrary))
	}

	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: r.time.Format("2006-01-02T15:04:05Z07:00"),
		Component: &main,
	}
	bom.Components = &components

	return bom
}

// component is a module with its package URL.
func component(path, version string, kind cyclonedx.ComponentType) cyclonedx.Component {
	url := fmt.Sprintf("pkg:golang/%s@%s", path, version)
	return cyclonedx.Component{
		BOMRef:     url,
		Type:       kind,
		Name:       path,
		Version:    version,
		PackageURL: url,
	}
}
